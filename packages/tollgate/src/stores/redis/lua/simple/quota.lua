-- A quota: W1 the start of its period, W2 what is settled. OWN is the start of the period that the charge is of.
if W1 > now then break end
if now < OWN then status = 2 end
if W1 < OWN then W1, W2 = OWN, 0 end
if W2 >= MAX then is_denied = true end
W2 = W2 + AMOUNT
if W2 > MAX then is_denied = true end
