"""Moves due participants on, a block at a time: lock, step and write whom nobody need be asked
about; lease the others, ask once, step, write."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import httpx2
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.profile import LinksWanted, ProfileFacts
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import Problem
from services.orchestrator.channels import store as channels
from services.orchestrator.delivery.registry import KINDS
from services.orchestrator.devices import store as devices
from services.orchestrator.engine import missed_store, participant_store, position_store
from services.orchestrator.engine.carry import carry
from services.orchestrator.engine.facts import facts_of
from services.orchestrator.engine.journey_calls import call
from services.orchestrator.engine.library import Library
from services.orchestrator.engine.moves import Moves
from services.orchestrator.engine.moves import load as load_moves
from services.orchestrator.engine.participants import Participant, Traces
from services.orchestrator.engine.trials import load as load_trials
from services.orchestrator.journeys import store as journeys
from services.orchestrator.journeys.compiled import Compiled
from services.orchestrator.journeys.effects import Send
from services.orchestrator.journeys.graph import Graph, required_consents
from services.orchestrator.journeys.nodes import Message, Webhook
from services.orchestrator.journeys.position import Step, leave
from services.orchestrator.journeys.step import Known, take
from services.orchestrator.journeys.timing import Person
from services.orchestrator.journeys.zones import zone_of
from services.orchestrator.message_templates import store as templates
from services.orchestrator.messages.compose import Kit
from services.orchestrator.receipts.links import Tracker
from services.orchestrator.receipts.tokens import TokenKey

LEASE_MS = 15_000
"""Longer than profile may take to answer for a block; a killed process holds people up so long."""
RETRY_MS = 1_000
MAX_RULES = 200


@dataclass(frozen=True)
class Executor:
    maker: SessionMaker
    profile: ServiceClient
    library: Library
    public_url: str
    tokens: TokenKey
    block: int = 2_000


async def execute(executor: Executor, workspace_id: UUID, *, now: int, known_until: int) -> int:
    """Run one block; the number of participants that were due.

    ``known_until``: the feed was read to its end at this time, so no event that happened before is
    still to come. Raises ``Unavailable`` while profile does not answer; the block is given back.
    """
    async with workspace_tx(executor.maker, workspace_id) as session:
        due = await participant_store.lock_due(
            session, workspace_id, now=now, known_until=known_until, limit=executor.block
        )
        if not due:
            return 0
        position = await position_store.position(session, workspace_id)
        moves = await load_moves(session, executor.library, due)
        ending = await journeys.ending(session, {p.journey_id for p in due})
        tracker = Tracker(workspace_id, executor.tokens, executor.public_url)
        kit = await load_kit(session, moves.graphs, executor.public_url)
        kit = replace(kit, tracker=tracker)
        alone = _steps_without_facts(due, moves, ending, now, known_until)
        asking = [p for p in due if p.id not in alone]
        await participant_store.lease(session, workspace_id, asking, now + LEASE_MS)
        # Whom nobody need be asked about goes on at once: one write instead of two.
        at_once = [p for p in due if p.id in alone]
        known = _Known(moves, ending, alone, {}, kit, known_until)
        await _advance(session, executor, workspace_id, at_once, known, now)
    if not asking:
        return len(due)
    try:
        facts = await ask(executor.profile, workspace_id, asking, moves, position)
    except (Problem, httpx2.HTTPError):
        async with workspace_tx(executor.maker, workspace_id) as session:
            await participant_store.give_back(session, workspace_id, asking, now + RETRY_MS)
        raise
    async with workspace_tx(executor.maker, workspace_id) as session:
        held = await participant_store.lock_claimed(session, workspace_id, asking)
        block = [p for p in asking if p.id in held]
        known = _Known(moves, ending, {}, facts, kit, known_until)
        await _advance(session, executor, workspace_id, block, known, now)
    return len(due)


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read and asked of a block before its rows are locked."""

    moves: Moves
    ending: Mapping[UUID, str]
    """Journeys that let everybody out, with the reason."""
    alone: Mapping[UUID, Step]
    """The steps of those whom nobody need be asked about."""
    facts: Mapping[UUID, ProfileFacts]
    kit: Kit
    until: int


async def load_kit(
    session: AsyncSession,
    graphs: Mapping[UUID, Compiled],
    public_url: str,
    channel_id: UUID | None = None,
) -> Kit:
    """Channels and templates these versions use, and the channel used instead of theirs."""
    nodes = [node for compiled in graphs.values() for node in compiled.graph.nodes]
    channel_ids = {node.channel_id for node in nodes if isinstance(node, Message | Webhook)}
    channel_ids |= {channel_id} if channel_id is not None else set()
    template_ids = {node.template_id for node in nodes if isinstance(node, Message)}
    targets = await channels.targets(session, channel_ids)
    return Kit(
        channel_types={target.id: target.type for target in targets.values()},
        templates=await templates.sources(session, template_ids),
        public_url=public_url,
        configs={target.id: target.config for target in targets.values()},
    )


async def with_devices(session: AsyncSession, kit: Kit, profile_ids: Collection[UUID]) -> Kit:
    """The kit with what pushes to these people reach, where it has channels for them."""
    kinds = {KINDS[each].device for each in kit.channel_types.values() if each in KINDS}
    if not profile_ids or kinds <= {None}:
        return kit
    return replace(kit, devices=await devices.latest(session, profile_ids))


async def ask(
    profile: ServiceClient,
    workspace_id: UUID,
    block: Sequence[Participant],
    moves: Moves,
    position: int,
) -> dict[UUID, ProfileFacts]:
    """What is true of these people at least as far as the feed was applied; by asked id."""
    graphs, needed = moves.graphs, {moves.target(p.version_id) for p in block}
    return await facts_of(
        profile,
        workspace_id,
        {p.profile_id for p in block},
        rule_ids=[rule for version in needed for rule in graphs[version].rule_ids.values()],
        min_position=position,
        links=links_of(graphs[version].graph for version in needed),
    )


def links_of(graphs: Iterable[Graph]) -> LinksWanted:
    """The links that messages of these journeys may hold."""
    purposes = {required[-1] for graph in graphs if (required := required_consents(graph))}
    return LinksWanted(channel="email", purposes=sorted(purposes))


def _steps_without_facts(
    due: Sequence[Participant],
    moves: Moves,
    ending: Mapping[UUID, str],
    now: int,
    known_until: int,
) -> dict[UUID, Step]:
    """The steps of those who get to no node that asks, and out of journeys that end, with the
    reason in ``ending``.

    What is missed is in the store, so who waits for an event is asked for as well.
    """
    found = {}
    for each in due:
        compiled, position = moves.graphs[each.version_id], each.position
        if each.journey_id in ending:
            found[each.id] = leave(position, ending[each.journey_id], now)
            continue
        if moves.concern(each):
            continue
        step = take(compiled, position, each.way, None, now, known_until=known_until)
        stays = step.position is position and position.state == "waiting"
        if step.position.state != "due" and not stays:
            found[each.id] = step
    return found


async def _advance(
    session: AsyncSession,
    executor: Executor,
    workspace_id: UUID,
    block: Sequence[Participant],
    known: _Known,
    now: int,
) -> None:
    """Step every participant of the block, whose rows are locked, and write what that leaves."""
    graphs, facts = known.moves.graphs, known.facts
    missed = await missed_store.read(session, workspace_id, block)
    trials = await load_trials(session, known.moves.graphs.values(), block)
    traces = Traces()
    consumed: list[tuple[UUID, str]] = []
    for participant in block:
        step = known.alone.get(participant.id)
        if step is not None and (
            participant.id not in missed or participant.journey_id in known.ending
        ):
            traces.record(participant, step)
            continue
        target = graphs[known.moves.target(participant.version_id)]
        truths = known_of(facts.get(participant.profile_id), target.graph)
        if truths is not None:
            truths = trials.known_to(participant, truths)
        known.moves.apply(participant, truths, traces, now)
        step = take(
            graphs[participant.version_id],
            participant.position,
            participant.way,
            truths,
            now,
            known_until=known.until,
            missed=missed.get(participant.id, ()),
        )
        traces.record(participant, step)
        consumed += [(participant.id, message_id) for message_id in step.consumed]
    sending = {who.profile_id for who, each in traces.effects if isinstance(each, Send)}
    kit = await with_devices(session, known.kit, sending)
    await carry(session, workspace_id, traces, graphs, now, facts=facts, kit=kit)
    await participant_store.update(session, workspace_id, block, graphs, now)
    if missed:
        await missed_store.drop(session, workspace_id, block, consumed)
    await call(session, workspace_id, executor.library, traces, graphs, facts, now)


def known_of(facts: ProfileFacts | None, graph: Graph) -> Known | None:
    """What steps read of the facts; None where nobody was asked."""
    if facts is None:
        return None
    zone = zone_of(facts.traits, facts.identifiers, graph.timezone)
    return Known(facts.rules, Person(facts.traits, zone))
