"""Journeys that let people into other journeys."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.profile import ProfileFacts
from services.orchestrator.engine import trace_store
from services.orchestrator.engine.entries import Entrant, admit
from services.orchestrator.engine.library import Library, Running
from services.orchestrator.engine.participants import Participant, Traces, refused
from services.orchestrator.journeys import enter
from services.orchestrator.journeys.compiled import AUDIENCE, Compiled
from services.orchestrator.journeys.effects import Called
from services.orchestrator.journeys.entries import ApiEntry
from services.orchestrator.message_templates.render import TemplateInvalid, render_payload
from services.orchestrator.messages.compose import variables_of

CALLED = "Journey Called"
MAX_DEPTH = 10
"""Journeys that call each other in a circle end here: no time passes between calls."""


async def call(
    session: AsyncSession,
    workspace_id: UUID,
    library: Library,
    traces: Traces,
    graphs: Mapping[UUID, Compiled],
    facts: Mapping[UUID, ProfileFacts],
    now: int,
) -> None:
    """Let everybody in whom ``traces`` call, in the transaction of the step that called.

    The audience of the journey called is not asked: the journey that calls decides.
    """
    calls = [(who, effect) for who, effect in traces.effects if isinstance(effect, Called)]
    if not calls:
        return
    running = {each.journey_id: each for each in (await library.running(session))[0]}
    entrants, told = [], []
    for who, effect in calls:
        found = _entrant(
            who,
            effect,
            running.get(effect.journey_id),
            graphs[who.version_id],
            facts[who.profile_id],
        )
        if isinstance(found, Entrant):
            entrants.append(found)
        else:
            told.append(refused(who, effect.node, effect.visit, effect.at, found))
    audience = {
        each.profile_id: {each.running.compiled.rule_ids[AUDIENCE]: True}
        for each in entrants
        if AUDIENCE in each.running.compiled.rule_ids
    }
    await admit(session, workspace_id, entrants, audience, now)
    await trace_store.queue_outcomes(session, workspace_id, told)


def _entrant(
    who: Participant,
    effect: Called,
    target: Running | None,
    compiled: Compiled,
    facts: ProfileFacts,
) -> Entrant | str:
    """Who enters, or why nobody does."""
    if target is None or target.state != "live":
        return "journey_not_live"
    entry = target.compiled.graph.entry
    if not isinstance(entry, ApiEntry):
        return "journey_not_called_by_others"
    depth = int(who.trigger.get("depth", 0)) + 1
    if depth > MAX_DEPTH:
        return "too_many_calls"
    try:
        properties = render_payload(
            effect.properties, variables_of(who, compiled.graph, facts), "properties"
        )
    except TemplateInvalid as error:
        return f"template_error: {error}"
    key = enter.instance_key(entry, properties)
    if key is None:
        return "no_instance_key"
    trigger = {
        "event": CALLED,
        "message_id": f"{who.id}:{effect.node}:{effect.visit}",
        "at": effect.at,
        "properties": properties,
        "depth": depth,
    }
    return Entrant(target, who.profile_id, key, effect.at, trigger)
