-- Which events came from which source, and how many of them a tracking plan had to note.
SELECT source_id, event, count() AS total,
       toUnixTimestamp64Milli(min(received_at)), toUnixTimestamp64Milli(max(received_at)),
       countIf(position(context, '"violations":[') > 0
               AND JSONHas(context, 'protocols', 'plan')
               AND JSONLength(context, 'protocols', 'violations') > 0),
       countIf(position(context, '"protocols"') > 0 AND JSONHas(context, 'protocols', 'plan'))
FROM events
WHERE workspace_id = {workspace_id:UUID} AND type != 'outcome'
  AND received_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
GROUP BY source_id, event
ORDER BY total DESC, source_id, event
LIMIT {limit:UInt32}
