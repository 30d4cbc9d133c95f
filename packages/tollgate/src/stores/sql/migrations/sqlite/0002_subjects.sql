-- What is stored of a subject beside its counters and credits.
CREATE TABLE {{subjects}} (
  subject TEXT PRIMARY KEY,
  body TEXT NOT NULL
);

-- Which plan a subject had, from when on.
CREATE TABLE {{plan_history}} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  subject TEXT NOT NULL,
  at INTEGER NOT NULL,
  plan TEXT NOT NULL
);
CREATE INDEX {{index:plan_history_subject}} ON {{plan_history}} (subject, id);

-- Answers to requests with an idempotency key.
CREATE TABLE {{receipts}} (
  id TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  -- Names what the request does: the same for every attempt, so that it is done once.
  effect TEXT NOT NULL,
  answer TEXT,
  -- Until when whoever answers is believed to be alive, by the database's own clock.
  leased_until INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
);
CREATE INDEX {{index:receipts_expires}} ON {{receipts}} (expires_at);
