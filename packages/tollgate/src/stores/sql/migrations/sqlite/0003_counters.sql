-- What subjects have used. The row with an empty cell is the subject's record; others are cells counted per something.
-- Bodies are text: what is in them is read by those who decide, never by the database.
CREATE TABLE {{counters}} (
  subject TEXT NOT NULL,
  cell TEXT NOT NULL,
  body TEXT NOT NULL,
  -- From when on the row says nothing, in epoch ms, rounded up.
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (subject, cell)
);
CREATE INDEX {{index:counters_expires}} ON {{counters}} (expires_at);

CREATE TABLE {{reservations}} (
  id TEXT PRIMARY KEY,
  subject TEXT NOT NULL,
  -- JSON: which cells of the subject it was counted in.
  cells TEXT NOT NULL,
  body TEXT NOT NULL,
  -- 1: committed, and holding units of capacity that a release gives back.
  is_standing INTEGER NOT NULL,
  -- When nobody can settle it, or ask how it was settled, any more.
  forget_at INTEGER NOT NULL
);
CREATE INDEX {{index:reservations_standing}} ON {{reservations}} (subject) WHERE is_standing = 1;
CREATE INDEX {{index:reservations_forget}} ON {{reservations}} (forget_at);
