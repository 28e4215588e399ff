"""Carries out what steps caused, in their transaction: ledger, queue of effects, tasks."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.profile import ProfileFacts
from services.orchestrator.engine import conversion_store, effect_store, trace_store
from services.orchestrator.engine.effect_store import NewEffect
from services.orchestrator.engine.log_calls import call_of
from services.orchestrator.engine.participants import (
    Participant,
    Traces,
    converted,
    exposed,
    refused,
)
from services.orchestrator.experiments import store as experiments
from services.orchestrator.journeys.compiled import Compiled
from services.orchestrator.journeys.effects import (
    Converted,
    Emitted,
    Exposed,
    ListChanged,
    Send,
    TaskAsked,
    TraitsSet,
    Withdrawn,
)
from services.orchestrator.journeys.listen import answer
from services.orchestrator.message_templates.render import TemplateInvalid
from services.orchestrator.messages import store as messages
from services.orchestrator.messages import tell
from services.orchestrator.messages.compose import Kit, compose, variables_of
from services.orchestrator.policies import store as policies
from services.orchestrator.tasks import store as tasks

NOBODY: Mapping[UUID, ProfileFacts] = {}


async def carry(
    session: AsyncSession,
    workspace_id: UUID,
    traces: Traces,
    graphs: Mapping[UUID, Compiled],
    now: int,
    *,
    facts: Mapping[UUID, ProfileFacts] = NOBODY,
    kit: Kit | None = None,
) -> None:
    """Write all of ``traces`` but the entries into other journeys, before participants are written:
    what cannot be sent moves some of them once more.

    Without facts and kit there can be no effects that need them: such nodes are not run.
    """
    sends = [(who, effect) for who, effect in traces.effects if isinstance(effect, Send)]
    if sends:
        assert kit is not None
        rendered = [
            compose(who, send, graphs[who.version_id].graph, facts.get(who.profile_id), kit)
            for who, send in sends
        ]
        skipped = await messages.add(session, workspace_id, rendered, now)
        traces.outcomes += tell.outcomes(skipped, now)
        _fail(traces, {who.id: who for who, _ in sends}, skipped, graphs)
    await effect_store.queue(session, workspace_id, _queued(traces, graphs, facts))
    await _withdraw(session, workspace_id, traces, now)
    await _convert(session, workspace_id, traces)
    await _expose(session, workspace_id, traces)
    asked = [(who, effect) for who, effect in traces.effects if isinstance(effect, TaskAsked)]
    await tasks.add(session, workspace_id, asked)
    await trace_store.keep(session, workspace_id, traces)


async def _withdraw(session: AsyncSession, workspace_id: UUID, traces: Traces, now: int) -> None:
    """Skip what waits in the ledger for those whom a goal or an exit rule took out (EX-1)."""
    ended = {who.id: each.reason for who, each in traces.effects if isinstance(each, Withdrawn)}
    if ended:
        rows = await messages.withdraw(session, workspace_id, ended, now)
        await policies.give_back(session, workspace_id, rows)
        traces.outcomes += tell.outcomes(rows, now)


async def _convert(session: AsyncSession, workspace_id: UUID, traces: Traces) -> None:
    """Count the goals reached and tell of those that are new."""
    reached = [(who, effect) for who, effect in traces.effects if isinstance(effect, Converted)]
    new = await conversion_store.add(session, workspace_id, reached)
    for who, goal in reached:
        if (who.id, goal.goal) in new:
            new.remove((who.id, goal.goal))
            traces.outcomes.append(converted(who, goal))


async def _expose(session: AsyncSession, workspace_id: UUID, traces: Traces) -> None:
    """Keep who was shown a variant for the first time, and tell of it."""
    shown = [(who, effect) for who, effect in traces.effects if isinstance(effect, Exposed)]
    new = await experiments.expose(session, workspace_id, shown)
    for who, effect in shown:
        if (effect.experiment_id, who.profile_id) in new:
            new.remove((effect.experiment_id, who.profile_id))
            traces.outcomes.append(exposed(who, effect))


def _fail(
    traces: Traces,
    senders: Mapping[UUID, Participant],
    skipped: Sequence[Row[Any]],
    graphs: Mapping[UUID, Compiled],
) -> None:
    """Who waits for the answer to a webhook that is never sent goes on as if it had failed."""
    for row in skipped:
        who = senders[row.participant_id]
        at = who.position.arrived_at
        compiled = graphs[who.version_id]
        after = answer(compiled, who.position, row.node, row.visit, "failed", at)
        if after is not None:
            traces.record(who, after)


def _queued(
    traces: Traces, graphs: Mapping[UUID, Compiled], facts: Mapping[UUID, ProfileFacts]
) -> list[NewEffect]:
    queued: list[NewEffect] = []
    for who, effect in traces.effects:
        if isinstance(effect, ListChanged):
            change = {"segment_id": str(effect.segment_id), "action": effect.action}
            queued.append((who.profile_id, "list", change))
        elif isinstance(effect, Emitted | TraitsSet):
            call = _call(traces, who, effect, graphs[who.version_id], facts.get(who.profile_id))
            if call is not None:
                # What is told should tracking refuse it.
                refusal = refused(who, effect.node, effect.visit, effect.at, "")
                data = {"call": call, "refused": msgspec.to_builtins(refusal)}
                queued.append((who.profile_id, "call", data))
    return queued


def _call(
    traces: Traces,
    who: Participant,
    effect: Emitted | TraitsSet,
    compiled: Compiled,
    known: ProfileFacts | None,
) -> dict[str, Any] | None:
    """None where it cannot be said; then the reason is told."""
    if known is None or not known.exists:
        reason = "no_profile"
    else:
        try:
            call = call_of(who, effect, known.identifiers, variables_of(who, compiled.graph, known))
        except TemplateInvalid as error:
            reason = f"template_error: {error}"
        else:
            if call is not None:
                return call
            reason = "no_identifier"
    traces.outcomes.append(refused(who, effect.node, effect.visit, effect.at, reason))
    return None
