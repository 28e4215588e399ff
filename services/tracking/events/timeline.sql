-- Events of one canonical profile, newest first, one page by key. The subjects are looked up first, so
-- that the bloom filter on subject_id skips what belongs to others.
SELECT toUnixTimestamp64Milli(occurred_at) AS occurred_ms, log_offset, log_index,
       toUnixTimestamp64Milli(received_at), properties, traits, context, {profile_id:UUID} AS profile_id,
       message_id, source_id, type, event, user_id, anonymous_id
FROM events
WHERE workspace_id = {workspace_id:UUID}
  AND subject_id IN (
    SELECT {profile_id:UUID}
    UNION ALL
    SELECT subject_id FROM identity_map WHERE workspace_id = {workspace_id:UUID}
    GROUP BY subject_id HAVING argMax(profile_id, version) = {profile_id:UUID})
  AND (occurred_ms, log_offset, log_index) < ({before_ms:Int64}, {before_offset:UInt64}, {before_index:UInt64})
ORDER BY occurred_at DESC, log_offset DESC, log_index DESC
LIMIT 1 BY source_id, message_id
LIMIT {limit:UInt32}
