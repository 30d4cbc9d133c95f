-- A sliding counter: W1 the start of the present window, W2 its count, W3 the count of the one before.
if W1 > now then break end
if now - W1 >= WINDOW then
  if now - W1 < 2 * WINDOW then W1, W3 = W1 + WINDOW, W2 else W1, W3 = now - now % WINDOW, 0 end
  W2 = 0
end
W2 = W2 + AMOUNT
if W3 > 0 and W2 + ceil(W3 * (W1 + WINDOW - now) / WINDOW) > MAX or W2 > MAX then is_denied = true end
