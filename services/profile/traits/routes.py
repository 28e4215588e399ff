"""The registry of traits, the priorities of sources, and what was left out, over HTTP."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.errors import TooManyTraitDefinitions, TraitDefinitionNotFound
from services.profile.traits import ledger, service, store
from services.profile.traits.definition import TraitDefinition, TraitDefinitionPut
from services.profile.traits.reasons import TEXTS, Reason

router = APIRouter(
    prefix="/api/v1",
    tags=["traits"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

Name = Annotated[
    str, Path(min_length=1, max_length=200, pattern=r"^[^\x00]+$", examples=["blood_group"])
]


class TraitSource(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source_id: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00]+$",
        description="Id of a source, or of an import; `api` stands for changes through the API.",
    )
    priority: int = Field(
        ge=-1000, le=1000, description="What a source of a higher priority said is kept."
    )


class TraitSettings(BaseModel):
    """Every source that is not named has priority 0."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"sources": [{"source_id": "crm", "priority": 10}], "registered_only": False}
            ]
        },
    )

    sources: list[TraitSource] = Field(default_factory=list, max_length=200)
    registered_only: bool = Field(
        False, description="Leave out traits that are not registered, whoever says them."
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({source.source_id for source in self.sources}) < len(self.sources):
            raise ValueError("sources: each source_id may stand there once")
        return self


class TraitRefusal(BaseModel):
    """Statements of one source about one trait that were left out for one reason. The rest of
    their events was taken."""

    trait: str
    reason: Reason
    detail: str = Field(description="The reason, for people.")
    source_id: str
    count: int
    last_at: datetime = Field(description="Time of the event it happened to last.")
    last_message_id: str
    last_profile_id: UUID


@router.get("/trait-definitions", summary="List the registered traits")
async def list_trait_definitions(
    session: Session, caller: UserCaller, paging: PagingParams
) -> Page[TraitDefinition]:
    """By name."""
    key = paging.after(str)
    after = "" if key is None else str(key[0])
    found = await store.page(session, caller.workspace_id, after, paging.limit + 1)
    shown = found[: paging.limit]
    cursor = encode_cursor(shown[-1].name) if len(found) > paging.limit else None
    return Page(items=shown, next_cursor=cursor)


@router.get(
    "/trait-definitions/{name}",
    summary="Read the definition of a trait",
    responses=problem_responses(TraitDefinitionNotFound),
)
async def read_trait_definition(
    name: Name, session: Session, caller: UserCaller
) -> TraitDefinition:
    found = await store.find(session, caller.workspace_id, name)
    if found is None:
        raise service.not_found(name)
    return found


@router.put(
    "/trait-definitions/{name}",
    summary="Register a trait, or change its definition",
    responses=problem_responses(TooManyTraitDefinitions),
)
async def put_trait_definition(
    name: Name, body: TraitDefinitionPut, session: Session, caller: UserCaller
) -> TraitDefinition:
    """Counts for what arrives from now on: values of another type are left out, the rest of their
    events is taken, and `GET /api/v1/trait-refusals` tells of it. Values that are there stay. A
    class of `sensitive` or `minor` masks those, too, at once.
    """
    return await service.define(session, caller.workspace_id, name, body)


@router.delete(
    "/trait-definitions/{name}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Take a trait out of the registry",
    responses=problem_responses(TraitDefinitionNotFound),
)
async def delete_trait_definition(name: Name, session: Session, caller: UserCaller) -> None:
    """Its values stay and are not masked any more; any value is taken from now on, unless only
    registered traits are.
    """
    await service.forget(session, caller.workspace_id, name)


@router.get("/trait-settings", summary="Whose word counts more, and which traits are taken")
async def read_trait_settings(session: Session, caller: UserCaller) -> TraitSettings:
    found = await store.settings(session, caller.workspace_id)
    sources = sorted(found.priorities.items(), key=lambda each: (-each[1], each[0]))
    return TraitSettings(
        sources=[TraitSource(source_id=s, priority=p) for s, p in sources],
        registered_only=found.registered_only,
    )


@router.put("/trait-settings", summary="Set whose word counts more, and which traits are taken")
async def put_trait_settings(
    body: TraitSettings, session: Session, caller: UserCaller
) -> TraitSettings:
    """Counts for what arrives from now on: what is known keeps the priority it was said with."""
    sources = {source.source_id: source.priority for source in body.sources}
    await service.set_sources(session, caller.workspace_id, sources, body.registered_only)
    return await read_trait_settings(session, caller)


@router.get("/trait-refusals", summary="Traits that were left out, and why")
async def list_trait_refusals(
    session: Session,
    caller: UserCaller,
    paging: PagingParams,
    trait: Annotated[
        str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Only this one.")
    ] = None,
) -> Page[TraitRefusal]:
    """Counted by trait, reason and source, in that order; of the 10,000 that happened last."""
    key = paging.after(str, str, str)
    after = ("", "", "") if key is None else (str(key[0]), str(key[1]), str(key[2]))
    limit = paging.limit
    found = await ledger.refusals(session, caller.workspace_id, after, limit + 1, trait)
    shown = found[:limit]
    cursor = None
    if len(found) > limit:
        cursor = encode_cursor(shown[-1].key, shown[-1].reason, shown[-1].source)
    return Page(items=[_refusal(each) for each in shown], next_cursor=cursor)


def _refusal(found: ledger.Refusals) -> TraitRefusal:
    reason: Reason = found.reason  # type: ignore[assignment]
    return TraitRefusal(
        trait=found.key,
        reason=reason,
        detail=TEXTS[reason],
        source_id=found.source,
        count=found.count,
        last_at=found.last_at,
        last_message_id=found.last_message_id,
        last_profile_id=found.last_profile_id,
    )
