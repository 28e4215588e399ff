"""What may happen to a map, and where its numbers come from."""

from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

import httpx2
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.profile import StageDefinition, StageModel
from services.contracts.rules import EventNode
from services.contracts.tracking import (
    Funnel,
    FunnelQuery,
    SignalCounts,
    SignalQuery,
)
from services.kit.http import ServiceClient
from services.kit.problems import InvalidRequest, Unavailable
from services.orchestrator.maps import store, templates
from services.orchestrator.maps.errors import (
    MapChanged,
    MapNotFound,
    MapTemplateNotFound,
    TouchpointNotFound,
)
from services.orchestrator.maps.model import (
    JourneyMap,
    MapCreate,
    MapDocument,
    Overlay,
)
from services.orchestrator.maps.overlay import funnel_steps, observed_stages, overlay
from services.rules import RuleInvalid, normalise
from services.rules.normalise import normalise_where

MAX_WITHIN_SECONDS = 31_536_000
# What one funnel of tracking takes.
MAX_OBSERVED_STAGES = 20
MAX_SIGNALS_PER_STAGE = 20


async def create(
    session: AsyncSession, workspace_id: UUID, map_id: UUID, body: MapCreate
) -> JourneyMap:
    """The new map, or the one that an earlier call with the same id made."""
    document = body.document or _from_template(body)
    check_rules(document)
    await store.add(session, workspace_id, map_id, document)
    return await read(session, map_id)


def _from_template(body: MapCreate) -> MapDocument:
    document = templates.document(body.template_id or "")
    if document is None:
        known = ", ".join(summary.id for summary in templates.summaries())
        raise MapTemplateNotFound(f"There is no template {body.template_id!r}; known: {known}.")
    return document.model_copy(update={"name": body.name}) if body.name else document


async def read(session: AsyncSession, map_id: UUID) -> JourneyMap:
    found = await store.find(session, map_id)
    if found is None:
        raise MapNotFound(f"Map {map_id} does not exist.", map_id=str(map_id))
    return found


async def replace(
    session: AsyncSession, map_id: UUID, version: int, document: MapDocument
) -> JourneyMap:
    check_rules(document)
    changed = await store.replace(session, map_id, version, document)
    if changed is None:
        stored = await read(session, map_id)
        raise MapChanged(
            f"The map is at version {stored.version}, your change is made from {version}. "
            "Read it again and repeat your change.",
            version=stored.version,
        )
    return changed


async def bind(
    session: AsyncSession, map_id: UUID, touchpoint_id: str, signal: EventNode | None
) -> JourneyMap:
    found = await read(session, map_id)
    touchpoint = found.document.touchpoint(touchpoint_id)
    if touchpoint is None:
        raise TouchpointNotFound(f"The map has no touchpoint {touchpoint_id!r}.")
    if signal is not None:
        _check_signal(signal, "#/signal")
    touchpoint.signal = signal
    return await replace(session, map_id, found.version, found.document)


def check_rules(document: MapDocument) -> None:
    """Refuses signals and stage rules that mean nothing or are too many, naming the field."""
    for s, stage in enumerate(observed_stages(document)):
        if s >= MAX_OBSERVED_STAGES:
            pointer = f"#/document/stages/{document.stages.index(stage)}/touchpoints"
            raise InvalidRequest.at(
                pointer, f"At most {MAX_OBSERVED_STAGES} stages of a map may have signals."
            )
        bound = [t for t, touchpoint in enumerate(stage.touchpoints) if touchpoint.signal]
        if len(bound) > MAX_SIGNALS_PER_STAGE:
            place = bound[MAX_SIGNALS_PER_STAGE]
            pointer = f"#/document/stages/{document.stages.index(stage)}/touchpoints/{place}/signal"
            raise InvalidRequest.at(
                pointer, f"At most {MAX_SIGNALS_PER_STAGE} touchpoints of a stage may have signals."
            )
    for s, stage in enumerate(document.stages):
        if stage.entry is not None:
            try:
                normalise(stage.entry)
            except RuleInvalid as error:
                pointer = f"#/document/stages/{s}/entry{error.pointer}"
                raise InvalidRequest.at(pointer, error.detail) from error
        for t, touchpoint in enumerate(stage.touchpoints):
            if touchpoint.signal is not None:
                pointer = f"#/document/stages/{s}/touchpoints/{t}/signal"
                _check_signal(touchpoint.signal, pointer)


def _check_signal(signal: EventNode, pointer: str) -> None:
    try:
        normalise_where(signal.where, "/where")
    except RuleInvalid as error:
        raise InvalidRequest.at(pointer + error.pointer, error.detail) from error
    for name, accepted in (("did", True), ("count", None), ("window", None)):
        if getattr(signal, name) != accepted:
            raise InvalidRequest.at(
                f"{pointer}/{name}", f"A signal is one event; leave {name} out."
            )


async def measure(
    tracking: ServiceClient, workspace_id: UUID, found: JourneyMap, since: datetime, until: datetime
) -> Overlay:
    """Asks tracking once for all signals and once for the funnel through the observed stages."""
    for name, at in (("since", since), ("until", until)):
        if not 1910 <= at.year <= 2199:
            raise InvalidRequest.at(f"#/query/{name}", "A time from 1910 to 2199 is accepted.")
    if since >= until:
        raise InvalidRequest.at("#/query/until", "until must lie after since.")
    signals = {
        touchpoint.id: touchpoint.signal
        for stage in found.document.stages
        for touchpoint in stage.touchpoints
        if touchpoint.signal is not None
    }
    counts, funnel = SignalCounts(signals={}), None
    if signals:
        query = SignalQuery(since=since, until=until, signals=signals)
        answer = await _ask(tracking, workspace_id, "/internal/v1/signals", query)
        counts = SignalCounts.model_validate_json(answer)
        seconds = min(int((until - since).total_seconds()) + 1, MAX_WITHIN_SECONDS)
        funnel_query = FunnelQuery(
            since=since, until=until, steps=funnel_steps(found.document), within_seconds=seconds
        )
        answer = await _ask(tracking, workspace_id, "/api/v1/analytics/funnel", funnel_query)
        funnel = Funnel.model_validate_json(answer)
    return overlay(
        found.id,
        found.version,
        found.document,
        counts,
        funnel,
        since=since,
        until=until,
        measured_at=datetime.now(UTC),
    )


async def publish_stages(
    profile: ServiceClient, workspace_id: UUID, found: JourneyMap
) -> StageModel:
    """Gives the stages' entry rules to profile, which from then on keeps everybody's stage."""
    stages = [
        StageDefinition(
            id=stage.id,
            entry=stage.entry,
            stalls_after_seconds=stage.stalls_after_days
            and max(1, round(86_400 * stage.stalls_after_days)),
        )
        for stage in found.document.stages
        if stage.entry is not None
    ]
    if not stages:
        raise InvalidRequest.at(
            "#/document/stages/0/entry", "No stage of the map has an entry rule."
        )
    model = StageModel(name=found.document.name.in_locale("en"), stages=stages)
    response = await profile.request(
        "PUT",
        f"/internal/v1/stage-models/{found.id}",
        workspace_id=workspace_id,
        content=model.model_dump_json(by_alias=True),
        headers={"Content-Type": "application/json"},
    )
    if response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        # Some rules only profile can judge: a segment that is gone, a field nobody has.
        raise InvalidRequest.at("#/document/stages", str(response.json().get("detail")))
    _expect_ok(response)
    return model


async def _ask(
    tracking: ServiceClient, workspace_id: UUID, path: str, query: SignalQuery | FunnelQuery
) -> bytes:
    response = await tracking.request(
        "POST",
        path,
        workspace_id=workspace_id,
        content=query.model_dump_json(by_alias=True),
        headers={"Content-Type": "application/json"},
    )
    _expect_ok(response)
    return response.content


def _expect_ok(response: httpx2.Response) -> None:
    # The map was checked when it was saved, so a refusal here is our own fault, not the caller's.
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        raise Unavailable(f"{response.request.url.path} answered {response.status_code}.")
