-- Bodies of the most recent events of each name, to learn their shape from.
SELECT event, if(type IN ('identify', 'group'), traits, properties) AS body
FROM events
WHERE workspace_id = {workspace_id:UUID} AND type != 'outcome'
  AND ({source_id:String} = '' OR source_id = {source_id:String})
  AND received_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  AND event IN {events:Array(String)} AND length(body) <= 8192
ORDER BY received_at DESC
LIMIT {per_event:UInt32} BY event
