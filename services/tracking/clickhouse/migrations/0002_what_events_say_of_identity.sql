-- What an event says of identity and is not in its other columns: with it an event of the log can be
-- made again from its row, long after the log was trimmed.
ALTER TABLE ${columns:events}
  ADD COLUMN IF NOT EXISTS email String CODEC(ZSTD(1)) AFTER anonymous_id,
  ADD COLUMN IF NOT EXISTS phone String CODEC(ZSTD(1)) AFTER email,
  ADD COLUMN IF NOT EXISTS previous_id String CODEC(ZSTD(1)) AFTER phone,
  ADD COLUMN IF NOT EXISTS group_id String CODEC(ZSTD(1)) AFTER previous_id;

ALTER TABLE ${rows:events} ADD INDEX IF NOT EXISTS mm_offset log_offset TYPE minmax GRANULARITY 1;
