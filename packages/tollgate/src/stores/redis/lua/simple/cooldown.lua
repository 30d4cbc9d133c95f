-- A pause: W1 the last admission.
if W1 > now then break end
if AMOUNT > 0 then
  if now < W1 + WINDOW then is_denied = true end
  W1 = now
end
