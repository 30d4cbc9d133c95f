-- An answer's key begins with its subject's digest, so that a subject's answers lie together and are found without an index
-- of their own. Nothing was released that has written others.
DROP TABLE {{ledger_answers}};
CREATE TABLE {{ledger_answers}} (
  id TEXT NOT NULL PRIMARY KEY,
  body TEXT NOT NULL,
  forget_at INTEGER NOT NULL
);
CREATE INDEX {{index:ledger_answers_forget}} ON {{ledger_answers}} (forget_at);
