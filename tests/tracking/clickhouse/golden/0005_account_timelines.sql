-- Timelines of accounts look for the few events that name one.
ALTER TABLE events_local ON CLUSTER 'customers' ADD INDEX IF NOT EXISTS bf_group group_id TYPE bloom_filter(0.01) GRANULARITY 1;
