"""Erasures over HTTP: for admins, and for profile, which owns what a person is."""

from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request

from services.identifiers import Policy, subject_id
from services.kit.auth import ServiceCaller, UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.tracking.erasure import service, store, suppression
from services.tracking.erasure.model import (
    Erasure,
    ErasureCreate,
    Lift,
    Lifted,
    NamedIdentifier,
    PersonErasure,
)
from services.tracking.errors import ErasureNotFound
from services.tracking.identity_policy import store as policies
from services.tracking.tables import ErasureRow

router = APIRouter(
    prefix="/api/v1/events",
    tags=["erasures"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unavailable),
)
internal_router = APIRouter(
    prefix="/internal/v1", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


@router.post(
    "/erasures", summary="Erase a person from the event stores", status_code=HTTPStatus.ACCEPTED
)
async def erase_person(
    body: ErasureCreate, request: Request, session: Session, caller: UserCaller
) -> Erasure:
    """Events of the person are dropped from now on, those that come late or are imported again
    too; queries stop showing what there is within a minute, and the bytes leave the files of
    ClickHouse and PostgreSQL within a day. Read the erasure to follow it: finished, it is the
    certificate. Asking again while it runs answers with the same erasure.
    """
    row = await service.begin(
        session, request.state.seal, caller.workspace_id, body.profile_id, datetime.now(UTC)
    )
    request.state.erase.ring()
    return _shown(row)


@router.get("/erasures", summary="List erasures, newest first")
async def list_erasures(
    session: Session, caller: UserCaller, paging: PagingParams
) -> Page[Erasure]:
    key = paging.after(str)
    before = None if key is None else _id(str(key[0]))
    found = await store.page(session, caller.workspace_id, before, paging.limit + 1)
    shown = [_shown(row) for row in found[: paging.limit]]
    more = len(found) > paging.limit
    return Page(items=shown, next_cursor=encode_cursor(str(shown[-1].id)) if more else None)


@router.get(
    "/erasures/{erasure_id}",
    summary="Read an erasure and its certificate",
    responses=problem_responses(ErasureNotFound),
)
async def read_erasure(erasure_id: UUID, session: Session, caller: UserCaller) -> Erasure:
    """It does not say whom it is about: nothing that is kept does."""
    row = await store.find(session, caller.workspace_id, erasure_id)
    if row is None:
        raise ErasureNotFound(f"There is no erasure {erasure_id}.")
    return _shown(row)


@router.post("/suppressions/lift", summary="Take a person's new events again after an erasure")
async def lift_suppressions(
    body: Lift, request: Request, session: Session, caller: UserCaller
) -> Lifted:
    """For somebody who was erased and signs up again. What happened before this call stays dropped
    for ever, so that an old export that is imported again brings nothing back.
    """
    policy = await policies.newest(session, caller.workspace_id)
    subjects = [
        _subject(caller.workspace_id, policy, named, f"#/identifiers/{index}")
        for index, named in enumerate(body.identifiers)
    ]
    lifted = await suppression.lift(
        session, request.state.seal, caller.workspace_id, subjects, datetime.now(UTC)
    )
    return Lifted(lifted=lifted)


@internal_router.post("/erasures", status_code=HTTPStatus.ACCEPTED)
async def erase_for_service(
    body: PersonErasure, request: Request, caller: ServiceCaller
) -> Erasure:
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        row = await service.begin(
            session,
            request.state.seal,
            caller.workspace_id,
            body.profile_id,
            datetime.now(UTC),
            subjects=body.subject_ids,
        )
    request.state.erase.ring()
    return _shown(row)


def _subject(workspace_id: UUID, policy: Policy, named: NamedIdentifier, pointer: str) -> UUID:
    if named.namespace not in policy.names:
        accepted = ", ".join(policy.names)
        raise InvalidRequest.at(f"{pointer}/namespace", f"One of {accepted} is accepted.")
    value = policy.normalise(named.namespace, named.value)
    if value is None:
        raise InvalidRequest.at(f"{pointer}/value", f"This is no usable {named.namespace}.")
    return subject_id(workspace_id, named.namespace, value)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidRequest.at(
            "#/query/cursor", "Use the next_cursor of an earlier answer."
        ) from error


def _shown(row: ErasureRow) -> Erasure:
    return Erasure.model_validate(row, from_attributes=True)
