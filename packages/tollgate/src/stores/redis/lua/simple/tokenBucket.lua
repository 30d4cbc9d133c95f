-- A token bucket: W1 when it was looked at, W2 its level in 1/WINDOW of a token.
if W1 > now then break end
if W1 == 0 or (now - W1) * REFILL >= MAX * WINDOW - W2 then W2 = MAX * WINDOW else W2 = W2 + (now - W1) * REFILL end
W1, W2 = now, W2 - AMOUNT * WINDOW
if W2 < 0 then is_denied = true end
