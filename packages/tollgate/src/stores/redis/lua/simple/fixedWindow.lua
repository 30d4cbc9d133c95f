-- Windows side by side: W1 the start of the present one, W2 its count.
if W1 > now then break end
if now - W1 >= WINDOW then
  if now - W1 < 2 * WINDOW then W1 = W1 + WINDOW else W1 = now - now % WINDOW end
  W2 = 0
end
W2 = W2 + AMOUNT
if W2 > MAX then is_denied = true end
