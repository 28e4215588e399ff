-- Names of events by how often they came.
SELECT event, count() AS total
FROM events
WHERE workspace_id = {workspace_id:UUID} AND type != 'outcome'
  AND ({source_id:String} = '' OR source_id = {source_id:String})
  AND received_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
GROUP BY event ORDER BY total DESC, event
LIMIT {limit:UInt32}
