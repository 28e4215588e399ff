"""SQL of a profile merge: everything kept by profile moves from the loser to the winner; and of its
undoing: "never again" then holds for both."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.times import from_ms

_PAIRS = "unnest(CAST(:merged AS uuid[]), CAST(:heirs AS uuid[])) AS u (merged, heir)"

# The loser's rotations are counted on from the winner's, so that the unique key of participants
# holds and the winner's ledger remembers every entry of both.
_MOVE_PARTICIPANTS = f"""
    UPDATE participant p SET profile_id = u.heir, fence = p.fence + 1, rotation = p.rotation
        + coalesce((SELECT max(w.rotation) FROM participant w WHERE w.journey_id = p.journey_id
            AND w.profile_id = u.heir AND w.ledger_key = p.ledger_key), 0)
    FROM {_PAIRS} WHERE p.workspace_id = :ws AND p.profile_id = u.merged"""  # noqa: S608

_MOVE_ENTRIES = f"""
    WITH lost AS (
        DELETE FROM entry e USING {_PAIRS}
        WHERE e.workspace_id = :ws AND e.profile_id = u.merged
        RETURNING u.heir, e.journey_id, e.ledger_key, e.rotation, e.active, e.exited_at),
    summed AS (
        SELECT heir, journey_id, ledger_key, sum(rotation) AS rotation, bool_or(active) AS active,
            max(exited_at) AS exited_at
        FROM lost GROUP BY heir, journey_id, ledger_key)
    INSERT INTO entry AS e (workspace_id, journey_id, profile_id, ledger_key, rotation, active,
        exited_at)
    SELECT :ws, journey_id, heir, ledger_key, rotation, active, exited_at FROM summed
    ON CONFLICT (workspace_id, journey_id, profile_id, ledger_key) DO UPDATE
    SET rotation = e.rotation + excluded.rotation, active = e.active OR excluded.active,
        exited_at = greatest(e.exited_at, excluded.exited_at)"""  # noqa: S608

_MOVE_ANCHORS = f"""
    WITH lost AS (
        DELETE FROM anchor a USING {_PAIRS}
        WHERE a.workspace_id = :ws AND a.profile_id = u.merged
        RETURNING u.heir, a.journey_id, a.match_key, a.anchor_at, a.anchor_message_id,
            a.blocked_at),
    latest AS (
        SELECT DISTINCT ON (heir, journey_id, match_key) heir, journey_id, match_key, anchor_at,
            anchor_message_id,
            max(blocked_at) OVER (PARTITION BY heir, journey_id, match_key) AS blocked_at
        FROM lost ORDER BY heir, journey_id, match_key, anchor_at DESC NULLS LAST)
    INSERT INTO anchor AS a (workspace_id, journey_id, profile_id, match_key, anchor_at,
        anchor_message_id, blocked_at)
    SELECT :ws, journey_id, heir, match_key, anchor_at, anchor_message_id, blocked_at FROM latest
    ON CONFLICT (workspace_id, journey_id, profile_id, match_key) DO UPDATE
    SET anchor_message_id = CASE WHEN a.anchor_at IS NULL OR excluded.anchor_at > a.anchor_at
            THEN excluded.anchor_message_id ELSE a.anchor_message_id END,
        anchor_at = greatest(a.anchor_at, excluded.anchor_at),
        blocked_at = greatest(a.blocked_at, excluded.blocked_at)"""  # noqa: S608

# The earlier exposure stands (SP-4); that two different ones met is kept for who reads results.
_LATER = "CASE WHEN excluded.at < x.at THEN excluded.{0} ELSE x.{0} END"
_EXPOSED = ("participant_id", "journey_id", "version_id", "variant", "probability", "chooser", "at")
_MOVE_EXPOSURES = f"""
    WITH lost AS (
        DELETE FROM exposure x USING {_PAIRS}
        WHERE x.workspace_id = :ws AND x.profile_id = u.merged
        RETURNING u.heir, x.*)
    INSERT INTO exposure AS x (workspace_id, experiment_id, profile_id, mixed,
        {", ".join(_EXPOSED)})
    SELECT :ws, experiment_id, heir, mixed, {", ".join(_EXPOSED)} FROM lost
    ON CONFLICT (workspace_id, experiment_id, profile_id) DO UPDATE
    SET mixed = x.mixed OR excluded.mixed OR x.variant <> excluded.variant,
        {", ".join(f"{each} = {_LATER.format(each)}" for each in _EXPOSED)}"""  # noqa: S608

# As exposures: the earlier one stands. A goal is reached once.
_MOVE_ARMS = f"""
    WITH lost AS (
        DELETE FROM holdout_arm x USING {_PAIRS}
        WHERE x.workspace_id = :ws AND x.profile_id = u.merged
        RETURNING u.heir, x.*)
    INSERT INTO holdout_arm AS x (workspace_id, profile_id, journey_id, version_id, arm, at,
        trigger, mixed)
    SELECT :ws, heir, journey_id, version_id, arm, at, trigger, mixed FROM lost
    ON CONFLICT (workspace_id, profile_id, journey_id) DO UPDATE
    SET mixed = x.mixed OR excluded.mixed OR x.arm <> excluded.arm,
        {", ".join(f"{e} = {_LATER.format(e)}" for e in ("version_id", "arm", "at", "trigger"))}
    """  # noqa: S608
_MOVE_GOALS = f"""
    WITH lost AS (
        DELETE FROM holdout_goal x USING {_PAIRS}
        WHERE x.workspace_id = :ws AND x.profile_id = u.merged
        RETURNING u.heir, x.*)
    INSERT INTO holdout_goal AS x (workspace_id, profile_id, journey_id, goal, at)
    SELECT :ws, heir, journey_id, goal, at FROM lost
    ON CONFLICT (workspace_id, profile_id, journey_id, goal) DO UPDATE
    SET at = least(x.at, excluded.at)"""  # noqa: S608

_MOVE_PLAIN = [
    f"UPDATE {table} t SET profile_id = u.heir FROM {_PAIRS} "  # noqa: S608
    "WHERE t.workspace_id = :ws AND t.profile_id = u.merged"
    for table in ("message", "task", "effect", "conversion", "device")
]

_COPY_ENTRIES = """
    INSERT INTO entry AS e (workspace_id, journey_id, profile_id, ledger_key, rotation, active,
        exited_at)
    SELECT workspace_id, journey_id, :lives, ledger_key, rotation, false,
        CASE WHEN active THEN :now ELSE exited_at END
    FROM entry WHERE workspace_id = :ws AND profile_id = :goes_on
    ON CONFLICT (workspace_id, journey_id, profile_id, ledger_key) DO NOTHING"""


_STATEMENTS = (
    *(_MOVE_PARTICIPANTS, _MOVE_ENTRIES, _MOVE_ANCHORS, _MOVE_EXPOSURES),
    *(_MOVE_ARMS, _MOVE_GOALS),
    *_MOVE_PLAIN,
)


async def copy_entries(
    session: AsyncSession, workspace_id: UUID, goes_on: UUID, lives: UUID, now: int
) -> None:
    """Journeys that go on count as left by the one who lives again: they go on without it."""
    values = {"ws": workspace_id, "goes_on": goes_on, "lives": lives, "now": from_ms(now)}
    await session.execute(text(_COPY_ENTRIES), values)


async def move(session: AsyncSession, workspace_id: UUID, heirs: dict[UUID, UUID]) -> None:
    """``heirs``: merged id → canonical id. Moves one loser at a time where a winner has several,
    so that rotations of two losers do not meet."""
    rounds: list[dict[UUID, UUID]] = []
    for merged, heir in heirs.items():
        free = next((each for each in rounds if heir not in each.values()), None)
        if free is None:
            rounds.append({merged: heir})
        else:
            free[merged] = heir
    for pairs in rounds:
        values = {"ws": workspace_id, "merged": list(pairs), "heirs": list(pairs.values())}
        for statement in _STATEMENTS:
            await session.execute(text(statement), values)
