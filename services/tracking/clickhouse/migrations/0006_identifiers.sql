-- The identifiers of an event by priority, as JSON, where a policy of the workspace's own or external ids
-- made others than the columns before say; empty for all other events.
ALTER TABLE ${columns:events}
  ADD COLUMN IF NOT EXISTS identifiers String CODEC(ZSTD(1)) AFTER previous_id;
