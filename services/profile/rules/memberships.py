"""SQL of what rules said last: who is in which segment, watched rule and stage."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.profile.arrays import plain, quoted, statement
from services.profile.rules.advance import StageChange
from services.profile.stages.stalls import Seconds

Pair = tuple[str, str]
"""(profile id, rule id) or (profile id, model id)."""

_LOAD = statement("""
SELECT m.profile_id::text AS profile_id, m.rule_id::text AS rule_id
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN membership m ON m.workspace_id = :workspace_id AND m.profile_id = asked.profile_id
""")

_ENTER = statement("""
INSERT INTO membership (workspace_id, profile_id, rule_id, entered_at)
SELECT :workspace_id, profile_id, rule_id, to_timestamp(:now_ms / 1000.0)
FROM unnest(CAST(:ids AS uuid[]), CAST(:rule_ids AS uuid[])) AS new(profile_id, rule_id)
""")

_EXIT = statement("""
DELETE FROM membership m
USING unnest(CAST(:ids AS uuid[]), CAST(:rule_ids AS uuid[])) AS old(profile_id, rule_id)
WHERE m.workspace_id = :workspace_id AND m.profile_id = old.profile_id
  AND m.rule_id = old.rule_id
""")

_STAGES = statement("""
SELECT s.profile_id::text AS profile_id, s.model_id::text AS model_id, s.stage_id
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN stage s ON s.workspace_id = :workspace_id AND s.profile_id = asked.profile_id
""")

_PUT_STAGES = statement("""
INSERT INTO stage (workspace_id, profile_id, model_id, stage_id, since, stalls_at)
SELECT :workspace_id, profile_id, model_id, stage_id, to_timestamp(:now_ms / 1000.0),
       to_timestamp(:now_ms / 1000.0 + stalls)
FROM unnest(CAST(:ids AS uuid[]), CAST(:model_ids AS uuid[]), CAST(:stage_ids AS text[]),
            CAST(:stalls AS bigint[])) AS new(profile_id, model_id, stage_id, stalls)
ON CONFLICT (workspace_id, profile_id, model_id)
DO UPDATE SET stage_id = excluded.stage_id, since = excluded.since,
              stalls_at = excluded.stalls_at, stalled = false
""")

_LEAVE_STAGES = statement("""
DELETE FROM stage s
USING unnest(CAST(:ids AS uuid[]), CAST(:model_ids AS uuid[])) AS old(profile_id, model_id)
WHERE s.workspace_id = :workspace_id AND s.profile_id = old.profile_id
  AND s.model_id = old.model_id
""")

_STAGE_HISTORY = statement("""
INSERT INTO stage_change
  (workspace_id, change_id, profile_id, model_id, from_stage, to_stage, at)
SELECT :workspace_id, change_id, profile_id, model_id, before, after,
       to_timestamp(:now_ms / 1000.0)
FROM unnest(CAST(:change_ids AS uuid[]), CAST(:ids AS uuid[]), CAST(:model_ids AS uuid[]),
            CAST(:before AS text[]), CAST(:after AS text[]))
  AS new(change_id, profile_id, model_id, before, after)
""")

# What a merged profile was in, the survivor is in from then on, without news of it: the person
# did not enter twice. Rules are asked again right after.
_INHERIT = (
    statement("""
INSERT INTO membership (workspace_id, profile_id, rule_id, entered_at)
SELECT m.workspace_id, new.winner, m.rule_id, min(m.entered_at)
FROM membership m
JOIN unnest(CAST(:losers AS uuid[]), CAST(:winners AS uuid[])) AS new(loser, winner)
  ON m.profile_id = new.loser
WHERE m.workspace_id = :workspace_id
GROUP BY m.workspace_id, new.winner, m.rule_id
ON CONFLICT DO NOTHING
"""),
    statement("""
INSERT INTO stage
  (workspace_id, profile_id, model_id, stage_id, since, stalls_at, stalled)
SELECT DISTINCT ON (new.winner, s.model_id)
  s.workspace_id, new.winner, s.model_id, s.stage_id, s.since, s.stalls_at, s.stalled
FROM stage s
JOIN unnest(CAST(:losers AS uuid[]), CAST(:winners AS uuid[])) AS new(loser, winner)
  ON s.profile_id = new.loser
WHERE s.workspace_id = :workspace_id
ORDER BY new.winner, s.model_id, s.since
ON CONFLICT DO NOTHING
"""),
    statement("""
DELETE FROM membership m USING unnest(CAST(:losers AS uuid[])) AS gone(profile_id)
WHERE m.workspace_id = :workspace_id AND m.profile_id = gone.profile_id
"""),
    statement("""
DELETE FROM stage s USING unnest(CAST(:losers AS uuid[])) AS gone(profile_id)
WHERE s.workspace_id = :workspace_id AND s.profile_id = gone.profile_id
"""),
)


@dataclass(frozen=True, slots=True)
class Said:
    """What rules said last, as it was read."""

    memberships: Sequence[Any]
    stages: Sequence[Any]

    def holds(self) -> dict[str, set[str]]:
        """Rules that hold by profile; profiles without any lack."""
        found: dict[str, set[str]] = {}
        for profile_id, rule_id in self.memberships:
            found.setdefault(profile_id, set()).add(rule_id)
        return found

    def by_model(self) -> dict[str, dict[str, str]]:
        """Stages by profile and model; profiles without any lack."""
        found: dict[str, dict[str, str]] = {}
        for profile_id, model_id, stage_id in self.stages:
            found.setdefault(profile_id, {})[model_id] = stage_id
        return found


async def load(session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]) -> Said:
    parameters = {"workspace_id": workspace_id, "ids": plain(profile_ids)}
    memberships = (await session.execute(_LOAD, parameters)).all()
    return Said(memberships, (await session.execute(_STAGES, parameters)).all())


async def save(
    session: AsyncSession,
    workspace_id: UUID,
    entered: Sequence[Pair],
    exited: Sequence[Pair],
    now_ms: int,
) -> None:
    if entered:
        parameters = _pairs(workspace_id, entered) | {"now_ms": now_ms}
        await session.execute(_ENTER, parameters)
    if exited:
        await session.execute(_EXIT, _pairs(workspace_id, exited))


def _pairs(workspace_id: UUID, pairs: Sequence[Pair]) -> dict[str, object]:
    return {
        "workspace_id": workspace_id,
        "ids": plain([profile_id for profile_id, _ in pairs]),
        "rule_ids": plain([rule_id for _, rule_id in pairs]),
    }


async def save_stages(
    session: AsyncSession,
    workspace_id: UUID,
    changes: Sequence[StageChange],
    stalls: Seconds,
    now_ms: int,
) -> None:
    if not changes:
        return
    arrived = [(c.profile_id, c.model_id, c.after) for c in changes if c.after is not None]
    left = [c for c in changes if c.after is None]
    if arrived:
        await session.execute(
            _PUT_STAGES,
            {
                "workspace_id": workspace_id,
                "ids": plain([profile_id for profile_id, _, _ in arrived]),
                "model_ids": plain([model_id for _, model_id, _ in arrived]),
                "stage_ids": quoted([stage_id for _, _, stage_id in arrived]),
                "stalls": plain([stalls.get((m, stage_id)) for _, m, stage_id in arrived]),
                "now_ms": now_ms,
            },
        )
    if left:
        await session.execute(
            _LEAVE_STAGES,
            {
                "workspace_id": workspace_id,
                "ids": plain([c.profile_id for c in left]),
                "model_ids": plain([c.model_id for c in left]),
            },
        )
    await session.execute(
        _STAGE_HISTORY,
        {
            "workspace_id": workspace_id,
            "change_ids": plain([uuid7() for _ in changes]),
            "ids": plain([c.profile_id for c in changes]),
            "model_ids": plain([c.model_id for c in changes]),
            "before": quoted([c.before for c in changes]),
            "after": quoted([c.after for c in changes]),
            "now_ms": now_ms,
        },
    )


async def inherit(session: AsyncSession, workspace_id: UUID, became: Mapping[str, str]) -> None:
    """Losers (keys) of merges hand over what they were in to the survivors (values)."""
    losers, winners = plain(became), plain(became.values())
    for each in _INHERIT:
        parameters: dict[str, object] = {"workspace_id": workspace_id, "losers": losers}
        if ":winners" in each.text:
            parameters["winners"] = winners
        await session.execute(each, parameters)
