-- An answer's key begins with its subject's digest, so that a subject's answers lie together and are found without an index
-- of their own. Nothing was released that has written others.
DROP TABLE {{ledger_answers}};
CREATE TABLE {{ledger_answers}} (
  id text COLLATE "C" PRIMARY KEY,
  body text NOT NULL,
  forget_at bigint NOT NULL
);
CREATE INDEX {{index:ledger_answers_forget}} ON {{ledger_answers}} (forget_at);

-- Accounts are changed in place, in the room that pages keep for them.
ALTER TABLE {{accounts}} SET (fillfactor = 70);
