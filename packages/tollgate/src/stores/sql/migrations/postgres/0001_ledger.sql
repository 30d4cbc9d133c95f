-- Credits. An account's open grants and holds are inside its row, so that a decision reads and writes one.
CREATE TABLE {{accounts}} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- Set to null when the subject is erased: entries and sums stay, of nobody.
  subject text UNIQUE,
  state text NOT NULL,
  -- When something happens by itself next, in epoch ms.
  due_at bigint
);
CREATE INDEX {{index:accounts_due}} ON {{accounts}} (due_at) WHERE due_at IS NOT NULL;

-- Only ever added to, and accounts stay. No foreign key: each session checks it by a plan that it keeps, and one of when
-- there were few accounts reads all of them.
CREATE TABLE {{entries}} (
  account_id bigint NOT NULL,
  seq bigint NOT NULL,
  at bigint NOT NULL,
  kind text NOT NULL,
  amount bigint NOT NULL,
  balance_after bigint NOT NULL,
  lot bigint,
  reservation text,
  operation text,
  PRIMARY KEY (account_id, seq)
);

-- Names and free text of entries, which are erased with their subject.
CREATE TABLE {{entry_notes}} (
  account_id bigint NOT NULL,
  seq bigint NOT NULL,
  key text,
  reason text,
  actor text,
  PRIMARY KEY (account_id, seq)
);

-- What was answered, by a digest of subject and key: the same command is answered the same, and has its effect once.
CREATE TABLE {{ledger_answers}} (
  id text PRIMARY KEY,
  account_id bigint NOT NULL,
  body text NOT NULL,
  forget_at bigint NOT NULL
);
CREATE INDEX {{index:ledger_answers_account}} ON {{ledger_answers}} (account_id);
CREATE INDEX {{index:ledger_answers_forget}} ON {{ledger_answers}} (forget_at);
