-- Events of an account, newest first, one page by key: those that name it, and those of its people
-- from when they came into it until they left. Two searches, so that each can use its own index.
WITH
  people AS (
    SELECT arrayJoin(arrayZip({people:Array(UUID)}, {since:Array(Int64)}, {until:Array(Int64)})) AS p
  ),
  owners AS (
    SELECT subject_id, argMax(profile_id, version) AS mapped_to, 1 AS mapped FROM identity_map
    WHERE workspace_id = {workspace_id:UUID}
    GROUP BY subject_id
  ),
  subjects AS (
    SELECT p.1 AS subject_id, p.2 AS since, p.3 AS until FROM people
    WHERE subject_id NOT IN (SELECT subject_id FROM owners)
    UNION ALL
    SELECT o.subject_id AS subject_id, q.p.2 AS since, q.p.3 AS until
    FROM owners AS o JOIN people AS q ON o.mapped_to = q.p.1
  )
SELECT f.occurred_ms, f.log_offset, f.log_index, f.received_ms, f.properties, f.traits, f.context,
       if(o.mapped = 1, o.mapped_to, f.subject_id) AS profile_id,
       f.message_id, f.source_id, f.type, f.event, f.user_id, f.anonymous_id
FROM (
  SELECT * FROM (
    SELECT toUnixTimestamp64Milli(e.occurred_at) AS occurred_ms, e.log_offset AS log_offset,
           e.log_index AS log_index, toUnixTimestamp64Milli(e.received_at) AS received_ms,
           e.properties AS properties, e.traits AS traits, e.context AS context,
           e.subject_id AS subject_id, e.message_id AS message_id, e.source_id AS source_id,
           e.type AS type, e.event AS event, e.user_id AS user_id, e.anonymous_id AS anonymous_id
    FROM events AS e JOIN subjects AS s ON s.subject_id = e.subject_id
    WHERE e.workspace_id = {workspace_id:UUID}
      AND e.subject_id IN (SELECT subject_id FROM subjects)
      AND occurred_ms >= s.since AND occurred_ms < s.until
      AND (occurred_ms, log_offset, log_index) < ({before_ms:Int64}, {before_offset:UInt64}, {before_index:UInt64})
    ORDER BY occurred_ms DESC, log_offset DESC, log_index DESC
    LIMIT 1 BY source_id, message_id
    LIMIT {limit:UInt32}
    UNION ALL
    SELECT toUnixTimestamp64Milli(occurred_at) AS occurred_ms, log_offset, log_index,
           toUnixTimestamp64Milli(received_at) AS received_ms, properties, traits, context,
           subject_id, message_id, source_id, type, event, user_id, anonymous_id
    FROM events
    WHERE workspace_id = {workspace_id:UUID} AND group_id = {group_id:String}
      AND (occurred_ms, log_offset, log_index) < ({before_ms:Int64}, {before_offset:UInt64}, {before_index:UInt64})
    ORDER BY occurred_ms DESC, log_offset DESC, log_index DESC
    LIMIT 1 BY source_id, message_id
    LIMIT {limit:UInt32})
  ORDER BY occurred_ms DESC, log_offset DESC, log_index DESC
  LIMIT 1 BY source_id, message_id
  LIMIT {limit:UInt32}) AS f
LEFT JOIN owners AS o ON o.subject_id = f.subject_id
ORDER BY f.occurred_ms DESC, f.log_offset DESC, f.log_index DESC
