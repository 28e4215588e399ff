"""Entries that somebody asks for, in the order that every entry is judged by."""

from uuid import UUID, uuid5

from services.contracts.profile import ProfileFacts
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.orchestrator.engine import participant_store
from services.orchestrator.engine.entries import Entrant, admit
from services.orchestrator.engine.facts import facts_of
from services.orchestrator.engine.journey_calls import CALLED
from services.orchestrator.engine.library import Library, Running
from services.orchestrator.entries.model import Entered, Entries, EntryCreate, NotEntered
from services.orchestrator.errors import JourneyStateConflict
from services.orchestrator.journeys import enter, service
from services.orchestrator.journeys.compiled import AUDIENCE
from services.orchestrator.journeys.entries import ApiEntry


async def enrol(
    maker: SessionMaker,
    profile: ServiceClient,
    library: Library,
    workspace_id: UUID,
    journey_id: UUID,
    request_id: UUID,
    body: EntryCreate,
    now: int,
) -> Entries:
    """Let people in. The same ``request_id`` again lets nobody in again and is answered alike."""
    async with workspace_tx(maker, workspace_id) as session:
        row = await service.get(session, journey_id)
        running = {each.journey_id: each for each in (await library.running(session))[0]}
    target = running.get(journey_id)
    if target is None or target.state != "live":
        raise JourneyStateConflict("People enter live journeys only.", state=row.state)
    if not isinstance(target.compiled.graph.entry, ApiEntry):
        raise JourneyStateConflict(
            "People enter this journey by its trigger; only an entry of kind `api` takes requests.",
            state=row.state,
        )
    rules = [id for place, id in target.compiled.rule_ids.items() if place == AUDIENCE]
    people = {each.profile_id for each in body.people}
    known = await facts_of(profile, workspace_id, people, rule_ids=rules)
    entrants, answer = _entrants(target, request_id, body, known, now)
    audience = {each.profile_id: each.rules for each in known.values()}
    async with workspace_tx(maker, workspace_id) as session:
        ids = [each.participant_id for each in entrants.values() if each.participant_id]
        before = await participant_store.existing(session, workspace_id, ids)
        fresh = [each for each in entrants.values() if each.participant_id not in before]
        admission = await admit(session, workspace_id, fresh, audience, now)
    refused = {id(entrant): reason for entrant, reason in admission.refused}
    for index, entrant in entrants.items():
        assert entrant.participant_id is not None
        if id(entrant) in refused:
            answer.refused.append(
                NotEntered(index=index, profile_id=entrant.profile_id, reason=refused[id(entrant)])
            )
        else:
            entered = Entered(profile_id=entrant.profile_id, participant_id=entrant.participant_id)
            answer.entered.append(entered)
    answer.refused.sort(key=lambda each: each.index)
    return answer


def _entrants(
    target: Running,
    request_id: UUID,
    body: EntryCreate,
    people: dict[UUID, ProfileFacts],
    now: int,
) -> tuple[dict[int, Entrant], Entries]:
    """Who may try, by place in the request, and the answer so far."""
    entry = target.compiled.graph.entry
    assert isinstance(entry, ApiEntry)
    answer, entrants = Entries(entered=[], refused=[]), dict[int, Entrant]()
    for index, person in enumerate(body.people):
        known = people.get(person.profile_id)
        properties = {**body.properties, **person.properties}
        key = enter.instance_key(entry, properties)
        if known is None or not known.exists or key is None:
            answer.refused.append(
                NotEntered(
                    index=index,
                    profile_id=person.profile_id,
                    reason="no_profile" if known is None or not known.exists else "no_instance_key",
                )
            )
            continue
        trigger = {
            "event": CALLED,
            "message_id": f"{request_id}:{index}",
            "at": now,
            "properties": properties,
        }
        participant_id = uuid5(request_id, str(index))
        entrants[index] = Entrant(target, known.profile_id, key, now, trigger, participant_id)
    return entrants, answer
