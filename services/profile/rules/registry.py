"""Registers rules and brings new ones up to date: leaves from tracking, then everybody's truth."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.problems import InvalidRequest
from services.profile.computed import store as computed
from services.profile.rules import inner, store
from services.profile.rules.ruleset import Definition, Read, RuleCycle, build, reads
from services.profile.rules.store import PendingLeaf, StoredRule
from services.profile.stages import stalls
from services.profile.stages import store as stages
from services.profile.stream import store as stream
from services.rules import Leaf, Rule, RuleInvalid, event_node, normalise, parts

MAX_LEAVES = 2000
"""Event leaves of a workspace: each is looked at for every event of its name."""


def parse(tree: Mapping[str, Any], pointer: str) -> Rule:
    """The rule of a tree; ``InvalidRequest`` under ``pointer`` where it means nothing."""
    try:
        return normalise(dict(tree))
    except RuleInvalid as error:
        raise InvalidRequest.at(f"{pointer}{error.pointer}", error.detail) from error


async def register(session: AsyncSession, workspace_id: UUID, rule: StoredRule) -> store.State:
    """Add a rule or replace the one with its id; it becomes ready in the background.

    From this transaction on its event leaves are counted live; what lies before, up to the
    consumer's place in the log, is fetched from tracking. So nothing is missed or counted twice.
    """
    place = await stream.lock(session, workspace_id)
    known = await store.find(session, workspace_id, rule.rule_id)
    if known is not None and known.definition == rule.definition and known.watch == rule.watch:
        await store.put(session, workspace_id, _in_state(rule, known.state))
        return known.state
    leaves = parse(rule.definition, "#/rule").leaves
    await store.put(session, workspace_id, rule)
    await _revised(session, workspace_id, leaves, place.log_offset)
    wanted = rule.watch or rule.kind == "segment"
    return await _go_on(session, workspace_id, rule.rule_id, leaves, wanted=wanted)


async def _go_on(
    session: AsyncSession, workspace_id: UUID, key: UUID, leaves: Iterable[Leaf], *, wanted: bool
) -> store.State:
    """Where nothing has to be fetched, events count from this very transaction on."""
    counted = await store.leaf_ids(session, workspace_id)
    if any(counted[leaf.leaf_id] != "ready" for leaf in leaves):
        return "backfilling"
    state: store.State = "sweeping" if wanted else "ready"
    await store.set_state(session, workspace_id, [key], state)
    return state


async def publish_model(
    session: AsyncSession, workspace_id: UUID, model_id: UUID, definition: dict[str, Any]
) -> None:
    """Add a stage model or replace the one with its id."""
    place = await stream.lock(session, workspace_id)
    leaves = [
        leaf
        for index, stage in enumerate(definition["stages"])
        for leaf in parse(stage["entry"], f"#/stages/{index}/entry").leaves
    ]
    await store.put_model(session, workspace_id, model_id, definition)
    await stalls.reset(session, workspace_id, model_id, definition)
    await _revised(session, workspace_id, leaves, place.log_offset)
    await _go_on(session, workspace_id, model_id, leaves, wanted=True)


async def withdraw_model(session: AsyncSession, workspace_id: UUID, model_id: UUID) -> bool:
    """Remove a stage model and the leaves nobody else reads; whether it was there."""
    place = await stream.lock(session, workspace_id)
    if not await stages.remove(session, workspace_id, model_id):
        return False
    await _revised(session, workspace_id, (), place.log_offset)
    return True


async def unregister(session: AsyncSession, workspace_id: UUID, rule_id: UUID) -> bool:
    """Remove a rule, who it held for, and the leaves nobody else reads; whether it was there."""
    place = await stream.lock(session, workspace_id)
    if not await store.remove(session, workspace_id, rule_id):
        return False
    await _revised(session, workspace_id, (), place.log_offset)
    return True


async def reader_of(
    session: AsyncSession, workspace_id: UUID, name: str, *, parts_too: bool = False
) -> str | None:
    """What somebody wrote that reads ``computed.<name>``, as in "segment <id>". ``parts_too``: or
    ``computed.<name>.<part>``."""
    for definition in await store.definitions(session, workspace_id):
        read = {key for source, key in _read_by(definition) if source == "computed"}
        if name in read or (parts_too and name in map(computed.head, read)):
            kind = {"watch": "rule", "model": "stage model"}.get(definition.kind, definition.kind)
            return f"{kind} {definition.key}"
    return None


def reads_segment(definition: Definition, segment_id: str) -> bool:
    """Whether a rule that somebody wrote does."""
    return ("segment", segment_id) in _read_by(definition)


def _read_by(definition: Definition) -> set[Read]:
    """What a rule that somebody wrote reads, inside of what has held too."""
    if definition.kind == "held":
        return set()
    whole = (normalise(dict(tree)) for _, tree in definition.trees)
    return {read for rule in whole for part in parts(rule) for read in reads(part)}


async def check_reads(session: AsyncSession, workspace_id: UUID, found: Iterable[Read]) -> None:
    """``InvalidRequest`` for what a rule reads and does not exist."""
    _check_segments(await store.definitions(session, workspace_id), found)
    await _check_computed(session, workspace_id, found)


def _check_segments(known: Iterable[Definition], found: Iterable[Read]) -> None:
    segments = {d.key for d in known if d.kind == "segment"}
    for kind, segment_id in found:
        if kind == "segment" and segment_id not in segments:
            raise InvalidRequest.at("#/rule", f"There is no segment {segment_id}.")


async def _check_computed(session: AsyncSession, workspace_id: UUID, found: Iterable[Read]) -> None:
    read = {name for kind, name in found if kind == "computed"}
    if read and (unknown := await computed.unknown(session, workspace_id, read)):
        detail = f"There is no computed trait or prediction {min(unknown)}."
        raise InvalidRequest.at("#/rule", detail)


async def _revised(
    session: AsyncSession, workspace_id: UUID, new: Iterable[Leaf], log_offset: int
) -> None:
    definitions = await store.definitions(session, workspace_id)
    timed = await inner.keep(session, workspace_id, definitions)
    definitions = await store.definitions(session, workspace_id)
    of_inner = {key: normalise(dict(tree)).leaves for key, tree in timed.items()}
    try:
        rules = build(definitions)
    except RuleCycle as error:
        raise InvalidRequest.at("#/rule", f"{error} A rule never reads itself.") from error
    if len(rules.leaves) > MAX_LEAVES:
        detail = f"A workspace counts at most {MAX_LEAVES} different event conditions."
        raise InvalidRequest.at("#/rule", detail)
    _check_segments(definitions, rules.all_reads)
    await _check_computed(session, workspace_id, rules.all_reads)
    counted = await store.leaf_ids(session, workspace_id)
    wanted = [*new, *(leaf for leaves in of_inner.values() for leaf in leaves)]
    missing = {leaf.leaf_id: leaf for leaf in wanted if leaf.leaf_id not in counted}
    await store.add_leaves(
        session,
        workspace_id,
        [
            PendingLeaf(
                leaf.leaf_id,
                event_node(leaf).model_dump(mode="json", by_alias=True, exclude_none=True),
                log_offset,
            )
            for leaf in missing.values()
        ],
    )
    if unread := counted.keys() - rules.leaves.keys():
        await store.remove_leaves(session, workspace_id, unread)
    for key, leaves in of_inner.items():
        await _go_on(session, workspace_id, key, leaves, wanted=True)
    await stream.revise_rules(session, workspace_id)


def _in_state(rule: StoredRule, state: store.State) -> StoredRule:
    return StoredRule(rule.rule_id, rule.kind, rule.owner, rule.definition, rule.watch, state)
