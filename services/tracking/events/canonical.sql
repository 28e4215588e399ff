-- The profile a subject belongs to now; no row when it is its own.
SELECT argMax(profile_id, version) FROM identity_map
WHERE workspace_id = {workspace_id:UUID} AND subject_id = {subject_id:UUID}
GROUP BY subject_id
