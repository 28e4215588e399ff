-- The first row of the log after a place that ClickHouse holds anything of; 0 when there is none.
SELECT min(log_offset) FROM events
WHERE workspace_id = {workspace_id:UUID} AND (type = 'outcome') = {outcomes:Bool}
  AND log_offset > {after:UInt64} AND log_offset <= {until:UInt64}
