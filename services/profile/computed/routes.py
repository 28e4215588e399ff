"""Computed traits over HTTP."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request
from pydantic import BaseModel, ConfigDict, Field

from services.contracts.computed import Aggregate
from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.computed import define, store
from services.profile.computed.store import StoredTrait
from services.profile.errors import (
    ComputedTraitInUse,
    ComputedTraitNameTaken,
    ComputedTraitNotFound,
    TooManyComputedTraits,
)
from services.profile.stream.consumer import rules_bell

router = APIRouter(
    prefix="/api/v1/computed-traits",
    tags=["computed traits"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

EXAMPLES: list[dict[str, Any]] = [
    {
        "name": "revenue_90d",
        "description": {"en": "Spent within 90 days", "zh": "90 天内消费额"},
        "kind": "sum",
        "event": "Order Completed",
        "property": "total",
        "where": {"rules": [{"field": "properties.currency", "operator": "=", "value": "CNY"}]},
        "window": {"last_days": 90},
    },
    {
        "name": "days_since_order",
        "description": {"en": "Days since the last order", "zh": "距上次下单天数"},
        "kind": "days_since_last",
        "event": "Order Completed",
    },
    {
        "name": "favourite_category",
        "description": {"en": "Favourite category", "zh": "最常购买的品类"},
        "kind": "most_frequent",
        "event": "Order Completed",
        "property": "category",
    },
]


class Description(BaseModel):
    model_config = ConfigDict(extra="forbid")

    en: str = Field("", max_length=2000)
    zh: str = Field("", max_length=2000)


class ComputedTraitWrite(Aggregate):
    """A name and what is calculated under it."""

    model_config = ConfigDict(json_schema_extra={"examples": [*EXAMPLES]})

    name: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^\w[\w.-]*$",
        description="Rules read it as `computed.<name>`. Letters of any script, digits, `_`, `-`, "
        "`.`; unique in the workspace and never changed.",
    )
    description: Description = Field(default_factory=Description)


class ComputedTrait(BaseModel):
    id: UUID
    name: str
    description: Description
    kind: str
    event: str
    property: str | None
    where: dict[str, Any] | None = Field(description="As it was sent, ready for a rule editor.")
    window: dict[str, Any] | None
    status: Literal["backfilling", "ready"] = Field(
        description="`backfilling` while past events are counted and values written."
    )
    progress: float = Field(description="0..1, the share of that which is done; an estimate.")
    created_at: datetime
    updated_at: datetime


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    summary="Create a computed trait",
    responses=problem_responses(ComputedTraitNameTaken, TooManyComputedTraits),
)
async def create_computed_trait(
    body: ComputedTraitWrite,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> ComputedTrait:
    """Calculated for everybody from past events in the background, then kept true as events
    arrive and windows end. Values stand in `computed` of a profile; each change is told by a
    `trait.computed` on the change feed.
    """
    made = await define.create(
        session, caller.workspace_id, body.name, body.description.model_dump(), _definition(body)
    )
    after.add_task(request.state.bell.ring, rules_bell(caller.workspace_id))
    return _trait(made)


@router.get("", summary="List computed traits, oldest first")
async def list_computed_traits(
    session: Session, caller: UserCaller, paging: PagingParams
) -> Page[ComputedTrait]:
    start = _after(paging.after(str))
    found = await store.page(session, caller.workspace_id, start, paging.limit + 1)
    shown = found[: paging.limit]
    cursor = encode_cursor(str(shown[-1].trait_id)) if len(found) > paging.limit else None
    return Page(items=[_trait(each) for each in shown], next_cursor=cursor)


@router.get(
    "/{trait_id}",
    summary="Read a computed trait",
    responses=problem_responses(ComputedTraitNotFound),
)
async def read_computed_trait(
    trait_id: UUID, session: Session, caller: UserCaller
) -> ComputedTrait:
    return _trait(await define.read(session, caller.workspace_id, trait_id))


@router.put(
    "/{trait_id}",
    summary="Replace a computed trait",
    responses=problem_responses(ComputedTraitNotFound),
)
async def replace_computed_trait(
    trait_id: UUID,
    body: ComputedTraitWrite,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> ComputedTrait:
    """Values of the old definition stay until those of the new one are known. The name stays."""
    changed = await define.replace(
        session,
        caller.workspace_id,
        trait_id,
        body.name,
        body.description.model_dump(),
        _definition(body),
    )
    after.add_task(request.state.bell.ring, rules_bell(caller.workspace_id))
    return _trait(changed)


@router.delete(
    "/{trait_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Delete a computed trait",
    responses=problem_responses(ComputedTraitNotFound, ComputedTraitInUse),
)
async def delete_computed_trait(
    trait_id: UUID,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> None:
    """Its values leave the profiles in the background, without news of it on the feed."""
    await define.delete(session, caller.workspace_id, trait_id)
    after.add_task(request.state.bell.ring, rules_bell(caller.workspace_id))


def _definition(body: ComputedTraitWrite) -> dict[str, Any]:
    return body.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"name", "description"}
    )


def _after(key: tuple[str | int, ...] | None) -> UUID:
    if key is None:
        return UUID(int=0)
    try:
        return UUID(str(key[0]))
    except ValueError as error:
        raise InvalidRequest.at("#/query/cursor", "Use the next_cursor of a page.") from error


def _trait(stored: StoredTrait) -> ComputedTrait:
    definition = stored.definition
    return ComputedTrait(
        id=stored.trait_id,
        name=stored.name,
        description=Description.model_validate(stored.description),
        kind=stored.kind,
        event=definition["event"],
        property=definition.get("property"),
        where=definition.get("where"),
        window=definition.get("window"),
        status="ready" if stored.state == "ready" else "backfilling",
        progress=stored.progress,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )
