"""SQL of registered rules, stage models and their leaves."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.rules.ruleset import Definition
from services.profile.rules.tables import LeafRow, LeafStateRow, MembershipRow, RuleRow
from services.profile.stages.stalls import seconds_of
from services.profile.stages.tables import StageModelRow

LIST = "list"
"""The kind of a segment whose members are put in by hand."""

State = Literal["backfilling", "sweeping", "ready"]
"""Leaves are being counted from the past; everybody is asked once; kept up to date by events."""


_EVALUATED = ((RuleRow, RuleRow.rule_id), (StageModelRow, StageModelRow.model_id))
_UNSWEPT = {"swept": 0, "to_sweep": 0}


@dataclass(frozen=True, slots=True)
class StoredRule:
    rule_id: UUID
    kind: str
    owner: str
    definition: dict[str, Any]
    watch: bool
    state: State


@dataclass(frozen=True, slots=True)
class PendingLeaf:
    """A leaf whose past is not counted yet: log up to ``start_offset`` is still missing."""

    leaf_id: str
    definition: dict[str, Any]
    start_offset: int


async def definitions(session: AsyncSession, workspace_id: UUID) -> list[Definition]:
    """Everything that is registered, stage models in the order they were first published."""
    rules = await session.execute(
        select(RuleRow.rule_id, RuleRow.kind, RuleRow.definition, RuleRow.watch, RuleRow.state)
        .where(RuleRow.workspace_id == workspace_id)
        .order_by(RuleRow.rule_id)
    )
    found = [_definition(r) for r in rules]
    models = await session.execute(
        select(StageModelRow.model_id, StageModelRow.definition, StageModelRow.state)
        .where(StageModelRow.workspace_id == workspace_id)
        .order_by(StageModelRow.published_at, StageModelRow.model_id)
    )
    for m in models:
        trees = [(stage["id"], stage["entry"]) for stage in m.definition["stages"]]
        live, stalls = m.state != "backfilling", seconds_of(m.definition)
        found.append(Definition(str(m.model_id), "model", trees, live=live, stalls=stalls))
    return found


def _definition(row: Any) -> Definition:
    if row.kind == LIST:
        # Its tree reads its own members, for whoever asks about one rule; it is never evaluated.
        return Definition(str(row.rule_id), "segment", [], live=False, wanted=False)
    kept = row.kind in ("segment", "held")
    return Definition(
        str(row.rule_id),
        row.kind if kept else "watch",
        [("", row.definition)],
        live=(kept or row.watch) and row.state != "backfilling",
        announced=row.kind == "segment" or (row.kind != "held" and row.state == "ready"),
        wanted=kept or row.watch,
    )


async def find(session: AsyncSession, workspace_id: UUID, rule_id: UUID) -> StoredRule | None:
    return next(iter(await find_all(session, workspace_id, [rule_id])), None)


async def find_all(
    session: AsyncSession, workspace_id: UUID, rule_ids: Collection[UUID]
) -> list[StoredRule]:
    """Those that are registered, segments among them."""
    columns = (
        RuleRow.rule_id,
        RuleRow.kind,
        RuleRow.owner,
        RuleRow.definition,
        RuleRow.watch,
        RuleRow.state,
    )
    statement = select(*columns).where(
        RuleRow.workspace_id == workspace_id, RuleRow.rule_id.in_(list(rule_ids))
    )
    return [StoredRule(**row._mapping) for row in await session.execute(statement)]


async def put(session: AsyncSession, workspace_id: UUID, rule: StoredRule) -> None:
    values = {
        "kind": rule.kind,
        "owner": rule.owner,
        "definition": rule.definition,
        "watch": rule.watch,
        "state": rule.state,
        **_UNSWEPT,
    }
    statement = insert(RuleRow).values(workspace_id=workspace_id, rule_id=rule.rule_id, **values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[RuleRow.workspace_id, RuleRow.rule_id], set_=values
        )
    )


async def put_model(
    session: AsyncSession, workspace_id: UUID, model_id: UUID, definition: dict[str, Any]
) -> None:
    statement = insert(StageModelRow).values(
        workspace_id=workspace_id,
        model_id=model_id,
        definition=definition,
        state="backfilling",
        published_at=text("now()"),
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[StageModelRow.workspace_id, StageModelRow.model_id],
            set_={"definition": definition, "state": "backfilling", **_UNSWEPT},
        )
    )


async def remove(session: AsyncSession, workspace_id: UUID, rule_id: UUID) -> bool:
    """Delete a rule and who it holds for; whether there was one."""
    gone = await session.execute(
        delete(RuleRow)
        .where(RuleRow.workspace_id == workspace_id, RuleRow.rule_id == rule_id)
        .returning(RuleRow.rule_id)
    )
    await session.execute(
        delete(MembershipRow).where(
            MembershipRow.workspace_id == workspace_id, MembershipRow.rule_id == rule_id
        )
    )
    return gone.one_or_none() is not None


async def states(session: AsyncSession, workspace_id: UUID) -> dict[str, State]:
    """State of every rule and stage model by id."""
    rules = select(RuleRow.rule_id, RuleRow.state).where(RuleRow.workspace_id == workspace_id)
    models = select(StageModelRow.model_id, StageModelRow.state).where(
        StageModelRow.workspace_id == workspace_id
    )
    found = (await session.execute(rules.union_all(models))).all()
    return {str(r[0]): cast(State, r[1]) for r in found}


async def set_state(
    session: AsyncSession, workspace_id: UUID, ids: Iterable[UUID], state: State
) -> None:
    wanted = list(ids)
    for table, key in _EVALUATED:
        await session.execute(
            update(table)
            .where(table.workspace_id == workspace_id, key.in_(wanted))
            .values(state=state)
        )


async def begin_sweep(
    session: AsyncSession, workspace_id: UUID, ids: Iterable[UUID], profiles: int
) -> None:
    wanted = list(ids)
    for table, key in _EVALUATED:
        await session.execute(
            update(table)
            .where(table.workspace_id == workspace_id, key.in_(wanted))
            .values(state="sweeping", swept=0, to_sweep=profiles)
        )


async def swept(
    session: AsyncSession, workspace_id: UUID, ids: Iterable[UUID], asked: int, *, all_: bool
) -> None:
    """``asked`` profiles so far, with the last of them ``all_``: then the rules are ready, but for
    those that were replaced meanwhile and have to begin again."""
    wanted = list(ids)
    for table, key in _EVALUATED:
        mine = (table.workspace_id == workspace_id) & key.in_(wanted) & (table.state == "sweeping")
        state = "ready" if all_ else "sweeping"
        await session.execute(
            update(table).where(mine, table.to_sweep > 0).values(swept=asked, state=state)
        )


async def leaf_ids(session: AsyncSession, workspace_id: UUID) -> dict[str, str]:
    """State of every leaf that is counted."""
    statement = select(LeafRow.leaf_id, LeafRow.state).where(LeafRow.workspace_id == workspace_id)
    return {r.leaf_id: r.state for r in await session.execute(statement)}


async def add_leaves(
    session: AsyncSession, workspace_id: UUID, leaves: Sequence[PendingLeaf]
) -> None:
    for leaf in leaves:
        await session.execute(
            insert(LeafRow).values(
                workspace_id=workspace_id,
                leaf_id=leaf.leaf_id,
                definition=leaf.definition,
                start_offset=leaf.start_offset,
                # Where nothing lies in the past there is nothing to fetch.
                state="backfilling" if leaf.start_offset else "ready",
            )
        )


async def remove_leaves(
    session: AsyncSession, workspace_id: UUID, leaf_ids: Collection[str]
) -> None:
    for table in (LeafRow, LeafStateRow):
        await session.execute(
            delete(table).where(
                table.workspace_id == workspace_id, table.leaf_id.in_(list(leaf_ids))
            )
        )


async def leaves(session: AsyncSession, workspace_id: UUID) -> list[PendingLeaf]:
    """All leaves that are counted."""
    statement = (
        select(LeafRow.leaf_id, LeafRow.definition, LeafRow.start_offset)
        .where(LeafRow.workspace_id == workspace_id)
        .order_by(LeafRow.leaf_id)
    )
    return [PendingLeaf(**r._mapping) for r in await session.execute(statement)]


async def pending_leaves(session: AsyncSession, workspace_id: UUID) -> list[PendingLeaf]:
    statement = (
        select(LeafRow.leaf_id, LeafRow.definition, LeafRow.start_offset)
        .where(LeafRow.workspace_id == workspace_id, LeafRow.state == "backfilling")
        .order_by(LeafRow.start_offset, LeafRow.leaf_id)
    )
    return [PendingLeaf(**r._mapping) for r in await session.execute(statement)]


async def finish_leaves(
    session: AsyncSession, workspace_id: UUID, leaf_ids: Collection[str]
) -> None:
    await session.execute(
        update(LeafRow)
        .where(LeafRow.workspace_id == workspace_id, LeafRow.leaf_id.in_(list(leaf_ids)))
        .values(state="ready")
    )
