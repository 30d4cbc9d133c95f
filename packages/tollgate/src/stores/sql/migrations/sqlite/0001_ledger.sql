-- Credits. An account's open grants and holds are inside its row, so that a decision reads and writes one.
CREATE TABLE {{accounts}} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- Set to null when the subject is erased: entries and sums stay, of nobody.
  subject TEXT UNIQUE,
  state TEXT NOT NULL,
  -- When something happens by itself next, in epoch ms.
  due_at INTEGER
);
CREATE INDEX {{index:accounts_due}} ON {{accounts}} (due_at) WHERE due_at IS NOT NULL;

-- Only ever added to.
CREATE TABLE {{entries}} (
  account_id INTEGER NOT NULL REFERENCES {{accounts}},
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  amount INTEGER NOT NULL,
  balance_after INTEGER NOT NULL,
  lot INTEGER,
  reservation TEXT,
  operation TEXT,
  PRIMARY KEY (account_id, seq)
);

-- Names and free text of entries, which are erased with their subject.
CREATE TABLE {{entry_notes}} (
  account_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  key TEXT,
  reason TEXT,
  actor TEXT,
  PRIMARY KEY (account_id, seq)
);

-- What was answered, by a digest of subject and key: the same command is answered the same, and has its effect once.
CREATE TABLE {{ledger_answers}} (
  id TEXT PRIMARY KEY,
  account_id INTEGER NOT NULL,
  body TEXT NOT NULL,
  forget_at INTEGER NOT NULL
);
CREATE INDEX {{index:ledger_answers_account}} ON {{ledger_answers}} (account_id);
CREATE INDEX {{index:ledger_answers_forget}} ON {{ledger_answers}} (forget_at);
