-- What is stored of a subject beside its counters and credits.
CREATE TABLE {{subjects}} (
  subject text PRIMARY KEY,
  body text NOT NULL
);

-- Which plan a subject had, from when on.
CREATE TABLE {{plan_history}} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subject text NOT NULL,
  at bigint NOT NULL,
  plan text NOT NULL
);
CREATE INDEX {{index:plan_history_subject}} ON {{plan_history}} (subject, id);

-- Answers to requests with an idempotency key.
CREATE TABLE {{receipts}} (
  id text PRIMARY KEY,
  fingerprint text NOT NULL,
  -- Names what the request does: the same for every attempt, so that it is done once.
  effect text NOT NULL,
  answer text,
  -- Until when whoever answers is believed to be alive, by the database's own clock.
  leased_until bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX {{index:receipts_expires}} ON {{receipts}} (expires_at);
