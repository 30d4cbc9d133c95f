-- What subjects have used. The row with an empty cell is the subject's record; others are cells counted per something.
-- Bodies are text: what is in them is read by those who decide, never by the database.
CREATE TABLE {{counters}} (
  subject text COLLATE "C" NOT NULL,
  cell text COLLATE "C" NOT NULL,
  body text NOT NULL,
  -- From when on the row says nothing, in epoch ms, rounded up: then most updates leave it as it is, and are made in
  -- place, in the room that pages keep for them.
  expires_at bigint NOT NULL,
  PRIMARY KEY (subject, cell)
) WITH (fillfactor = 70);
CREATE INDEX {{index:counters_expires}} ON {{counters}} (expires_at);

CREATE TABLE {{reservations}} (
  id text COLLATE "C" PRIMARY KEY,
  subject text COLLATE "C" NOT NULL,
  -- JSON: which cells of the subject it was counted in.
  cells text NOT NULL,
  body text NOT NULL,
  -- 1: committed, and holding units of capacity that a release gives back.
  is_standing smallint NOT NULL,
  -- When nobody can settle it, or ask how it was settled, any more.
  forget_at bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX {{index:reservations_standing}} ON {{reservations}} (subject) WHERE is_standing = 1;
CREATE INDEX {{index:reservations_forget}} ON {{reservations}} (forget_at);
