"""The impact ledger: which segments and stages a merge or its undoing met, and what it changed."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.profile.arrays import plain, quoted, statement
from services.profile.merges.tables import ImpactRow
from services.profile.rules import memberships
from services.profile.stream.service import Applied

_KEPT = ("segment.entered", "segment.exited", "stage.changed", "rule.matched")

_INSERT = statement("""
INSERT INTO impact (workspace_id, merge_id, action, before, changes)
SELECT :workspace_id, merge_id, 'merge', CAST(before AS jsonb), CAST(changes AS jsonb)
FROM unnest(CAST(:ids AS uuid[]), CAST(:before AS text[]), CAST(:changes AS text[]))
  AS new(merge_id, before, changes)
""")

_BEFORE_UNMERGE = statement("""
INSERT INTO impact (workspace_id, merge_id, action, before, changes)
VALUES (:workspace_id, :merge_id, 'unmerge', CAST(:before AS jsonb), '[]'::jsonb)
""")

_ADD = statement("""
UPDATE impact i SET changes = i.changes || CAST(new.changes AS jsonb)
FROM unnest(CAST(:ids AS uuid[]), CAST(:changes AS text[])) AS new(merge_id, changes)
WHERE i.workspace_id = :workspace_id AND i.merge_id = new.merge_id AND i.action = 'unmerge'
""")

Standing = dict[str, dict[str, Any]]
"""By profile id, of those that are in any: ``{"segments": [id, …], "stages": {model: stage}}``.
Watched rules of other services count as segments here."""


async def standing(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]
) -> Standing:
    said = await memberships.load(session, workspace_id, profile_ids)
    holds, stages = said.holds(), said.by_model()
    return {
        each: {"segments": sorted(holds.get(each, ())), "stages": stages.get(each, {})}
        for each in sorted(holds.keys() | stages.keys())
    }


async def before(session: AsyncSession, workspace_id: UUID, applied: Applied) -> Standing:
    """Of the profiles that merge; asked before anything is handed over."""
    merging = {p for m in applied.resolution.merges for p in (m.winner, m.loser)}
    if not (known := merging & applied.existing):
        return {}
    return await standing(session, workspace_id, known)


async def record(
    session: AsyncSession,
    workspace_id: UUID,
    applied: Applied,
    met: Standing,
    changes: Iterable[Change],
) -> None:
    """Merges of a block; what followed counts for every merge of the same survivor in it."""
    if not applied.resolution.merges:
        return
    followed = _by_profile(changes)
    rows: list[tuple[UUID, str, str]] = []
    for merge, cause in zip(applied.resolution.merges, applied.causes, strict=True):
        mine = {p: met[p] for p in (merge.winner, merge.loser) if p in met}
        news = followed.get(applied.became[merge.loser], [])
        if mine or news:
            rows.append((cause.merge_id, _json(mine), _json(news)))
    if rows:
        await session.execute(
            _INSERT,
            {
                "workspace_id": workspace_id,
                "ids": plain(merge_id for merge_id, _, _ in rows),
                "before": quoted(text for _, text, _ in rows),
                "changes": quoted(text for _, _, text in rows),
            },
        )


async def record_unmerge(
    session: AsyncSession, workspace_id: UUID, merge_id: UUID, met: Standing
) -> None:
    """What it changes is added when both people's events are counted."""
    parameters = {"workspace_id": workspace_id, "merge_id": merge_id, "before": _json(met)}
    await session.execute(_BEFORE_UNMERGE, parameters)


async def add_changes(
    session: AsyncSession,
    workspace_id: UUID,
    merge_of: Mapping[str, UUID],
    changes: Iterable[Change],
) -> None:
    """``merge_of``: the undone merge on whose account each profile was asked."""
    found: dict[UUID, list[dict[str, Any]]] = {}
    for profile_id, news in _by_profile(changes).items():
        if profile_id in merge_of:
            found.setdefault(merge_of[profile_id], []).extend(news)
    if found:
        await session.execute(
            _ADD,
            {
                "workspace_id": workspace_id,
                "ids": plain(found),
                "changes": quoted(map(_json, found.values())),
            },
        )


async def read(
    session: AsyncSession, workspace_id: UUID, merge_id: UUID
) -> dict[str, tuple[Standing, list[dict[str, Any]]]]:
    """By action (``merge``, ``unmerge``): what it met, and what it changed."""
    rows = await session.execute(
        select(ImpactRow.action, ImpactRow.before, ImpactRow.changes).where(
            ImpactRow.workspace_id == workspace_id, ImpactRow.merge_id == merge_id
        )
    )
    return {row.action: (row.before, row.changes) for row in rows}


def _by_profile(changes: Iterable[Change]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for change in changes:
        if change.type in _KEPT:
            entry = {"type": change.type, "profile_id": change.profile_id, "data": change.data}
            found.setdefault(change.profile_id, []).append(entry)
    return found


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
