-- Types of external ids in the contexts of a time, by how many events carried them.
SELECT JSONExtractString(said, 'type') AS type, uniqExact(log_offset, log_index) AS events,
       max(received_at) AS last_at
FROM (
  SELECT log_offset, log_index, received_at, arrayJoin(arrayConcat(
    JSONExtractArrayRaw(context, 'externalIds'), JSONExtractArrayRaw(context, 'externalId')
  )) AS said
  FROM events
  WHERE workspace_id = {workspace_id:UUID} AND position(context, '"externalId') > 0
    AND received_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
)
WHERE type != ''
GROUP BY type ORDER BY events DESC, type
LIMIT {limit:UInt32}
