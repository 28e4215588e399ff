-- Past events by name, oldest first, one page by key.
SELECT toString(profile_id) AS profile_id, event, message_id,
       toUnixTimestamp64Milli(occurred_at) AS occurred_at_ms, properties, context,
       log_offset, log_index
FROM person_events(workspace_id={workspace_id:UUID})
WHERE event IN {events:Array(String)} AND type != 'outcome'
  AND occurred_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  AND occurred_at < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
  AND (occurred_at_ms, log_offset, log_index) > ({after_ms:Int64}, {after_offset:UInt64}, {after_index:UInt64})
ORDER BY occurred_at, log_offset, log_index
LIMIT {limit:UInt32}
