-- The identifiers of an event by priority, as JSON, where a policy of the workspace's own or external ids
-- made others than the columns before say; empty for all other events.
ALTER TABLE events_local ON CLUSTER 'customers'
  ADD COLUMN IF NOT EXISTS identifiers String CODEC(ZSTD(1)) AFTER previous_id;

-- The identifiers of an event by priority, as JSON, where a policy of the workspace's own or external ids
-- made others than the columns before say; empty for all other events.
ALTER TABLE events ON CLUSTER 'customers'
  ADD COLUMN IF NOT EXISTS identifiers String CODEC(ZSTD(1)) AFTER previous_id;
