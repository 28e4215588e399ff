"""Erasures over HTTP."""

from datetime import datetime
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request

from services.contracts.erasure import StoreReport, SubjectsLift
from services.identifiers import Policy, subject_id
from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.profile.erasure import service, store, suppression
from services.profile.erasure.model import (
    CertificateLine,
    ConsentProof,
    Erasure,
    ErasureCreate,
    ErasureDetail,
    Lift,
    Lifted,
    NamedIdentifier,
)
from services.profile.erasure.tables import ErasureRow
from services.profile.erasure.worker import BELL
from services.profile.errors import ErasureNotFound, ProfileNotFound
from services.profile.stream import store as stream

router = APIRouter(
    prefix="/api/v1",
    tags=["erasures"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)


@router.post(
    "/profiles/{profile_id}/erase",
    summary="Erase a person from all services",
    status_code=HTTPStatus.ACCEPTED,
    responses=problem_responses(ProfileNotFound),
)
async def erase_profile(
    profile_id: UUID, body: ErasureCreate, request: Request, caller: UserCaller
) -> Erasure:
    """When this is answered the profile is gone, with all that was merged into it, and its events
    are dropped from now on, late and imported ones too. Events and messages follow within a
    minute, and the bytes leave the files within a day: read the erasure to follow it. Asking again
    answers with the same erasure.
    """
    state, workspace_id = request.state, caller.workspace_id
    now: datetime = state.clock.now()
    async with workspace_tx(state.sessionmaker, workspace_id) as session:
        row = await service.begin(session, state.seal, workspace_id, profile_id, body.reason, now)
        shown = _shown(row)
    state.bell.ring(str(workspace_id))
    state.bell.ring(BELL)
    return shown


@router.get("/erasures", summary="List erasures, newest first")
async def list_erasures(
    session: Session, caller: UserCaller, paging: PagingParams
) -> Page[Erasure]:
    key = paging.after(str)
    before = None if key is None else _cursor_id(str(key[0]))
    found = await store.page(session, caller.workspace_id, before, paging.limit + 1)
    shown = [_shown(row) for row in found[: paging.limit]]
    more = len(found) > paging.limit
    return Page(items=shown, next_cursor=encode_cursor(str(shown[-1].id)) if more else None)


@router.get(
    "/erasures/{erasure_id}",
    summary="Read an erasure and its certificate",
    responses=problem_responses(ErasureNotFound),
)
async def read_erasure(erasure_id: UUID, session: Session, caller: UserCaller) -> ErasureDetail:
    """It does not say whom it is about: nothing that is kept does. Keep its id with the request."""
    row = await store.find(session, caller.workspace_id, erasure_id)
    if row is None:
        raise ErasureNotFound(f"There is no erasure {erasure_id}.")
    proof = await store.proof(session, caller.workspace_id, erasure_id)
    consents = [
        ConsentProof(purpose=p.purpose, state=p.state, at=p.at, source_id=p.source) for p in proof
    ]
    return ErasureDetail(**_shown(row).model_dump(), consents=consents)


@router.post(
    "/suppressions/lift",
    summary="Take a person's new events again after an erasure",
    responses=problem_responses(Unavailable),
)
async def lift_suppressions(body: Lift, request: Request, caller: UserCaller) -> Lifted:
    """For somebody who was erased and signs up again. What happened before this call stays dropped
    for ever, so that an old export that is imported again brings nothing back.
    """
    state, workspace_id = request.state, caller.workspace_id
    async with workspace_tx(state.sessionmaker, workspace_id) as session:
        policy = await state.identity_policies.of(session, workspace_id)
    subjects = [
        _subject(workspace_id, policy, named, f"#/identifiers/{index}")
        for index, named in enumerate(body.identifiers)
    ]
    told = SubjectsLift(subject_ids=subjects).model_dump(mode="json")
    answer = await state.tracking.request(
        "POST", "/internal/v1/suppressions/lift", workspace_id=workspace_id, json=told
    )
    answer.raise_for_status()
    async with workspace_tx(state.sessionmaker, workspace_id) as session:
        await stream.lock(session, workspace_id)
        now = state.clock.now()
        lifted = await suppression.lift(session, state.seal, workspace_id, subjects, now)
    return Lifted(lifted=lifted)


def _subject(workspace_id: UUID, policy: Policy, named: NamedIdentifier, pointer: str) -> UUID:
    if named.namespace not in policy.names:
        accepted = ", ".join(policy.names)
        raise InvalidRequest.at(f"{pointer}/namespace", f"One of {accepted} is accepted.")
    value = policy.normalise(named.namespace, named.value)
    if value is None:
        raise InvalidRequest.at(f"{pointer}/value", f"This is no usable {named.namespace}.")
    return subject_id(workspace_id, named.namespace, value)


def _cursor_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidRequest.at(
            "#/query/cursor", "Use the next_cursor of an earlier answer."
        ) from error


def _shown(row: ErasureRow) -> Erasure:
    lines: list[CertificateLine] = []
    for name, part in sorted(row.parts.items()):
        stores = part["stores"] or [StoreReport(store="all", erased=0).model_dump()]
        state = "done" if part["state"] == "done" else "pending"
        lines += [CertificateLine(service=name, state=state, **line) for line in stores]
    return Erasure(
        id=row.erasure_id,
        state="running" if row.finished_at is None else "finished",
        reason=row.reason,
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        verified=row.verified,
        stores=lines,
    )
