-- What names a subject is found when that is erased: all of its reservations, and not only those that stand.
DROP INDEX {{reservations_standing}};
CREATE INDEX {{index:reservations_subject}} ON {{reservations}} (subject, is_standing);

-- A digest of whose answer it is, where that is known.
ALTER TABLE {{receipts}} ADD COLUMN subject_digest text COLLATE "C";
CREATE INDEX {{index:receipts_subject}} ON {{receipts}} (subject_digest) WHERE subject_digest IS NOT NULL;

-- Nothing happens by itself to an account of nobody.
UPDATE {{accounts}} SET due_at = NULL WHERE subject IS NULL AND due_at IS NOT NULL;
