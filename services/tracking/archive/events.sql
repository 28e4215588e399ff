-- A stretch of the log as ClickHouse has it, in the log's order. Lazy reading fetches the wide columns
-- of the rows that are left after the sort only.
SELECT log_offset, toUnixTimestamp64Milli(received_at), message_id, source_id, type, event,
       toString(subject_id), user_id, email, phone, anonymous_id, previous_id,
       identifiers, group_id,
       toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(original_at),
       toUnixTimestamp64Milli(sent_at), time_source, properties, traits, context
FROM events
WHERE workspace_id = {workspace_id:UUID} AND (type = 'outcome') = {outcomes:Bool}
  AND log_offset > {after:UInt64} AND log_offset <= {until:UInt64}
ORDER BY log_offset, log_index
LIMIT {limit:UInt32}
