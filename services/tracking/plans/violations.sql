-- Accepted events that a plan's check noted violations on, newest first, one page by key. Looking for
-- the bare word first spares parsing every context.
SELECT toUnixTimestamp64Milli(received_at) AS received_ms, log_offset, log_index,
       source_id, event, message_id, JSONExtractRaw(context, 'protocols') AS protocols
FROM events
WHERE workspace_id = {workspace_id:UUID} AND type != 'outcome'
  AND received_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  AND ({source_id:String} = '' OR source_id = {source_id:String})
  AND ({event:String} = '' OR event = {event:String})
  AND position(context, '"violations":[') > 0
  AND JSONExtractString(context, 'protocols', 'plan') = {plan_id:String}
  AND (received_ms, log_offset, log_index) < ({before_ms:Int64}, {before_offset:UInt64}, {before_index:UInt64})
ORDER BY received_at DESC, log_offset DESC, log_index DESC
LIMIT 1 BY source_id, message_id
LIMIT {limit:UInt32}
