-- Events of sources where people can sign in (some event of theirs has a user id), and those of them
-- that belong to a person known by a user id.
SELECT count(), countIf(profile_id IN (
  SELECT profile_id FROM person_events(workspace_id={workspace_id:UUID})
  WHERE user_id != '' AND type != 'outcome'
    AND received_at >= fromUnixTimestamp64Milli({known_since_ms:Int64}, 'UTC')))
FROM person_events(workspace_id={workspace_id:UUID})
WHERE type != 'outcome' AND received_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  AND source_id IN (
    SELECT source_id FROM events
    WHERE workspace_id = {workspace_id:UUID} AND user_id != '' AND type != 'outcome'
      AND received_at >= fromUnixTimestamp64Milli({known_since_ms:Int64}, 'UTC'))
