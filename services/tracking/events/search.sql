-- Events of a workspace, newest first, one page by key.
SELECT toUnixTimestamp64Milli(occurred_at) AS occurred_ms, log_offset, log_index,
       toUnixTimestamp64Milli(received_at), properties, traits, context, profile_id,
       message_id, source_id, type, event, user_id, anonymous_id
FROM person_events(workspace_id={workspace_id:UUID})
WHERE ({event:String} = '' OR event = {event:String})
  AND occurred_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  AND occurred_at < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
  AND (occurred_ms, log_offset, log_index) < ({before_ms:Int64}, {before_offset:UInt64}, {before_index:UInt64})
ORDER BY occurred_at DESC, log_offset DESC, log_index DESC
LIMIT {limit:UInt32}
