-- The record: what was used, kept and counted. Personal are {{usage_subjects}}.subject and {{usage_events}} alone: erasing a subject
-- empties the one and deletes the other, and sums stay, of nobody.
CREATE TABLE {{usage_subjects}} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  namespace text COLLATE "C" NOT NULL,
  subject text COLLATE "C",
  -- Where its own periods start, and the plan it was last admitted under: what a counter store forgets when it is lost.
  anchor_at bigint,
  last_plan text,
  -- Of its last event.
  seq bigint NOT NULL,
  UNIQUE (namespace, subject)
) WITH (fillfactor = 70);

-- Counted once by id. Kept for a while, then archived or deleted; sums are not made from it.
CREATE TABLE {{usage_events}} (
  id text COLLATE "C" PRIMARY KEY,
  namespace text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  subject_id bigint NOT NULL,
  -- Of the subject's events, in the order in which they were written.
  seq bigint NOT NULL,
  kind text NOT NULL,
  plan text NOT NULL,
  operation text NOT NULL,
  model text NOT NULL,
  -- How many of the kind it stands for: denials of a flood go together.
  count bigint NOT NULL,
  -- JSON: the rest.
  body text NOT NULL
);
CREATE INDEX {{index:usage_events_at}} ON {{usage_events}} (at);
CREATE INDEX {{index:usage_events_subject}} ON {{usage_events}} (subject_id, at);

-- What was used of a quota in one of its periods. max is what it was last decided by; none is unlimited.
CREATE TABLE {{usage_totals}} (
  subject_id bigint NOT NULL,
  cell text COLLATE "C" NOT NULL,
  partition text COLLATE "C" NOT NULL,
  start_at bigint NOT NULL,
  end_at bigint NOT NULL,
  plan text NOT NULL,
  lim text NOT NULL,
  max bigint,
  used bigint NOT NULL,
  PRIMARY KEY (subject_id, cell, partition, start_at)
) WITH (fillfactor = 70);
CREATE INDEX {{index:usage_totals_end}} ON {{usage_totals}} (end_at);

-- Days (YYYY-MM-DD, of the record's zone) of each subject: of meter 'requests' how many there were, of each other meter
-- what was used. What was counted in a limit is in usage_totals.
CREATE TABLE {{usage_daily}} (
  subject_id bigint NOT NULL,
  day text COLLATE "C" NOT NULL,
  plan text COLLATE "C" NOT NULL,
  operation text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  meter text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  PRIMARY KEY (subject_id, day, plan, operation, model, meter)
) WITH (fillfactor = 70);
CREATE INDEX {{index:usage_daily_day}} ON {{usage_daily}} (day);

-- The same over all subjects of a namespace. lim is '' for that; else it is a limit, and amount is what was counted in it.
CREATE TABLE {{usage_summary}} (
  namespace text COLLATE "C" NOT NULL,
  day text COLLATE "C" NOT NULL,
  plan text COLLATE "C" NOT NULL,
  lim text COLLATE "C" NOT NULL,
  operation text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  meter text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  PRIMARY KEY (namespace, day, plan, lim, operation, model, meter)
) WITH (fillfactor = 50);

-- Denials of each subject: one row for the request (lim ''), and one for each limit that it violated. mode: 'enforce', or
-- 'shadow' where it went ahead.
CREATE TABLE {{denial_daily}} (
  namespace text COLLATE "C" NOT NULL,
  subject_id bigint NOT NULL,
  day text COLLATE "C" NOT NULL,
  plan text COLLATE "C" NOT NULL,
  lim text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  code text COLLATE "C" NOT NULL,
  operation text COLLATE "C" NOT NULL,
  mode text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  first_at bigint NOT NULL,
  last_at bigint NOT NULL,
  PRIMARY KEY (subject_id, day, plan, lim, kind, code, operation, mode)
);
CREATE INDEX {{index:denial_daily_day}} ON {{denial_daily}} (day);
-- All that is asked of who was denied, without the rows.
CREATE INDEX {{index:denial_daily_denied}} ON {{denial_daily}} (namespace, day, mode, subject_id, plan, amount, first_at, last_at) WHERE lim = '';

-- The same over all subjects of a namespace.
CREATE TABLE {{denial_summary}} (
  namespace text COLLATE "C" NOT NULL,
  day text COLLATE "C" NOT NULL,
  plan text COLLATE "C" NOT NULL,
  lim text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  code text COLLATE "C" NOT NULL,
  operation text COLLATE "C" NOT NULL,
  mode text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  PRIMARY KEY (namespace, day, plan, lim, kind, code, operation, mode)
) WITH (fillfactor = 50);

-- Who was admitted in a day (YYYY-MM-DD) or a month (YYYY-MM), under a plan, and under any (plan '').
CREATE TABLE {{usage_active}} (
  namespace text COLLATE "C" NOT NULL,
  span text COLLATE "C" NOT NULL,
  plan text COLLATE "C" NOT NULL,
  subject_id bigint NOT NULL,
  -- The span first: old ones go, of all namespaces.
  PRIMARY KEY (span, namespace, plan, subject_id)
);
-- Whether a subject was there on one of some days, without the rows: each row is in one of the two.
CREATE INDEX {{index:usage_active_any}} ON {{usage_active}} (subject_id, span) WHERE plan = '';
CREATE INDEX {{index:usage_active_plan}} ON {{usage_active}} (subject_id, plan, span) WHERE plan <> '';
CREATE TABLE {{active_summary}} (
  namespace text COLLATE "C" NOT NULL,
  span text COLLATE "C" NOT NULL,
  plan text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  PRIMARY KEY (namespace, span, plan)
) WITH (fillfactor = 50);

-- From which plan to which, and when.
CREATE TABLE {{plan_changes}} (
  id text COLLATE "C" PRIMARY KEY,
  namespace text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  subject_id bigint NOT NULL,
  from_plan text NOT NULL,
  to_plan text NOT NULL
);
CREATE INDEX {{index:plan_changes_at}} ON {{plan_changes}} (at);
CREATE INDEX {{index:plan_changes_subject}} ON {{plan_changes}} (subject_id);
