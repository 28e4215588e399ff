-- Active people, and those of them seen in two or more channels. A source without a channel counts
-- for none.
SELECT count(), countIf(channels >= 2)
FROM (
  SELECT profile_id,
         uniqExactIf(transform(source_id, {sources:Array(String)}, {channels:Array(String)}, ''),
                     source_id IN {sources:Array(String)}) AS channels
  FROM person_events(workspace_id={workspace_id:UUID})
  WHERE type != 'outcome' AND received_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  GROUP BY profile_id
)
