-- The record: what was used, kept and counted. Personal are {{usage_subjects}}.subject and {{usage_events}} alone: erasing a subject
-- empties the one and deletes the other, and sums stay, of nobody.
CREATE TABLE {{usage_subjects}} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace TEXT NOT NULL,
  subject TEXT,
  -- Where its own periods start, and the plan it was last admitted under: what a counter store forgets when it is lost.
  anchor_at INTEGER,
  last_plan TEXT,
  -- Of its last event.
  seq INTEGER NOT NULL,
  UNIQUE (namespace, subject)
);

-- Counted once by id. Kept for a while, then archived or deleted; sums are not made from it.
CREATE TABLE {{usage_events}} (
  id TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  at INTEGER NOT NULL,
  subject_id INTEGER NOT NULL,
  -- Of the subject's events, in the order in which they were written.
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  plan TEXT NOT NULL,
  operation TEXT NOT NULL,
  model TEXT NOT NULL,
  -- How many of the kind it stands for: denials of a flood go together.
  count INTEGER NOT NULL,
  -- JSON: the rest.
  body TEXT NOT NULL
);
CREATE INDEX {{index:usage_events_at}} ON {{usage_events}} (at);
CREATE INDEX {{index:usage_events_subject}} ON {{usage_events}} (subject_id, at);

-- What was used of a quota in one of its periods. max is what it was last decided by; none is unlimited.
CREATE TABLE {{usage_totals}} (
  subject_id INTEGER NOT NULL,
  cell TEXT NOT NULL,
  partition TEXT NOT NULL,
  start_at INTEGER NOT NULL,
  end_at INTEGER NOT NULL,
  plan TEXT NOT NULL,
  lim TEXT NOT NULL,
  max INTEGER,
  used INTEGER NOT NULL,
  PRIMARY KEY (subject_id, cell, partition, start_at)
);
CREATE INDEX {{index:usage_totals_end}} ON {{usage_totals}} (end_at);

-- Days (YYYY-MM-DD, of the record's zone) of each subject: of meter 'requests' how many there were, of each other meter
-- what was used. What was counted in a limit is in usage_totals.
CREATE TABLE {{usage_daily}} (
  subject_id INTEGER NOT NULL,
  day TEXT NOT NULL,
  plan TEXT NOT NULL,
  operation TEXT NOT NULL,
  model TEXT NOT NULL,
  meter TEXT NOT NULL,
  amount INTEGER NOT NULL,
  PRIMARY KEY (subject_id, day, plan, operation, model, meter)
);
CREATE INDEX {{index:usage_daily_day}} ON {{usage_daily}} (day);

-- The same over all subjects of a namespace. lim is '' for that; else it is a limit, and amount is what was counted in it.
CREATE TABLE {{usage_summary}} (
  namespace TEXT NOT NULL,
  day TEXT NOT NULL,
  plan TEXT NOT NULL,
  lim TEXT NOT NULL,
  operation TEXT NOT NULL,
  model TEXT NOT NULL,
  meter TEXT NOT NULL,
  amount INTEGER NOT NULL,
  PRIMARY KEY (namespace, day, plan, lim, operation, model, meter)
);

-- Denials of each subject: one row for the request (lim ''), and one for each limit that it violated. mode: 'enforce', or
-- 'shadow' where it went ahead.
CREATE TABLE {{denial_daily}} (
  namespace TEXT NOT NULL,
  subject_id INTEGER NOT NULL,
  day TEXT NOT NULL,
  plan TEXT NOT NULL,
  lim TEXT NOT NULL,
  kind TEXT NOT NULL,
  code TEXT NOT NULL,
  operation TEXT NOT NULL,
  mode TEXT NOT NULL,
  amount INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (subject_id, day, plan, lim, kind, code, operation, mode)
);
CREATE INDEX {{index:denial_daily_day}} ON {{denial_daily}} (day);
-- All that is asked of who was denied, without the rows.
CREATE INDEX {{index:denial_daily_denied}} ON {{denial_daily}} (namespace, day, mode, subject_id, plan, amount, first_at, last_at) WHERE lim = '';

-- The same over all subjects of a namespace.
CREATE TABLE {{denial_summary}} (
  namespace TEXT NOT NULL,
  day TEXT NOT NULL,
  plan TEXT NOT NULL,
  lim TEXT NOT NULL,
  kind TEXT NOT NULL,
  code TEXT NOT NULL,
  operation TEXT NOT NULL,
  mode TEXT NOT NULL,
  amount INTEGER NOT NULL,
  PRIMARY KEY (namespace, day, plan, lim, kind, code, operation, mode)
);

-- Who was admitted in a day (YYYY-MM-DD) or a month (YYYY-MM), under a plan, and under any (plan '').
CREATE TABLE {{usage_active}} (
  namespace TEXT NOT NULL,
  span TEXT NOT NULL,
  plan TEXT NOT NULL,
  subject_id INTEGER NOT NULL,
  -- The span first: old ones go, of all namespaces.
  PRIMARY KEY (span, namespace, plan, subject_id)
);
-- Whether a subject was there on one of some days, without the rows: each row is in one of the two.
CREATE INDEX {{index:usage_active_any}} ON {{usage_active}} (subject_id, span) WHERE plan = '';
CREATE INDEX {{index:usage_active_plan}} ON {{usage_active}} (subject_id, plan, span) WHERE plan <> '';
CREATE TABLE {{active_summary}} (
  namespace TEXT NOT NULL,
  span TEXT NOT NULL,
  plan TEXT NOT NULL,
  amount INTEGER NOT NULL,
  PRIMARY KEY (namespace, span, plan)
);

-- From which plan to which, and when.
CREATE TABLE {{plan_changes}} (
  id TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  at INTEGER NOT NULL,
  subject_id INTEGER NOT NULL,
  from_plan TEXT NOT NULL,
  to_plan TEXT NOT NULL
);
CREATE INDEX {{index:plan_changes_at}} ON {{plan_changes}} (at);
CREATE INDEX {{index:plan_changes_subject}} ON {{plan_changes}} (subject_id);
