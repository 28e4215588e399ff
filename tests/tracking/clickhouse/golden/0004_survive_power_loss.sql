-- PostgreSQL remembers on disk what was loaded, so ClickHouse must not hold it in memory alone: what it
-- lost at a power cut would never be loaded again. Merges and fetches from another replica too: they
-- replace what was on disk, or stand for it.
ALTER TABLE events_local ON CLUSTER 'customers' MODIFY SETTING
  fsync_after_insert = 1, fsync_part_directory = 1,
  min_compressed_bytes_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;

ALTER TABLE identity_map ON CLUSTER 'customers' MODIFY SETTING
  fsync_after_insert = 1, fsync_part_directory = 1,
  min_compressed_bytes_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_fetch = 1;
