-- Events of canonical profiles in the order they lie on disk: sorting would have to hold them all.
SELECT toString(profile_id) AS profile_id, toString(subject_id) AS subject_id,
       type, event, message_id, source_id, user_id, anonymous_id,
       toUnixTimestamp64Milli(e.occurred_at), toUnixTimestamp64Milli(e.received_at),
       properties, traits, context
FROM person_events(workspace_id={workspace_id:UUID}) AS e
WHERE (empty({subjects:Array(UUID)}) OR e.subject_id IN {subjects:Array(UUID)})
  AND ({event:String} = '' OR event = {event:String})
  AND ({source_id:String} = '' OR source_id = {source_id:String})
  AND occurred_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  AND occurred_at < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
