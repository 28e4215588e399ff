"""Consents of people over HTTP."""

from typing import Annotated
from uuid import UUID, uuid5

from fastapi import APIRouter, Header, Request
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.auth import Caller, UserCaller
from services.kit.pagination import PagingParams, encode_cursor
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.profile.clock import from_ms
from services.profile.consents import decide, read, service
from services.profile.consents.ledger import Place
from services.profile.consents.model import (
    ConsentCreate,
    ConsentEntry,
    ConsentLine,
    ConsentPage,
    ConsentSaid,
    ContactConsent,
)
from services.profile.consents.service import Picture, Wish
from services.profile.consents.statements import normal_contact_point
from services.profile.errors import ProfileNotFound

router = APIRouter(
    prefix="/api/v1/profiles/{profile_id}/consents",
    tags=["consents"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, ProfileNotFound),
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key says the same thing once.",
    ),
]


@router.get("", summary="Consents of a profile, now and before")
async def list_consents(
    profile_id: UUID, session: Session, caller: UserCaller, paging: PagingParams
) -> ConsentPage:
    """Consent is said by events (`context.consent.categoryPreferences`, or `Consent Granted`,
    `Consent Withdrawn` and `Consent Requested` with `purpose`, `channel` and `contact_point`) and
    by posting here. What is said at several levels is weighed as docs/consents.md says.
    """
    key = paging.after(int, int)
    # Bound to what the column can hold: a made-up cursor is a page, not an error.
    before = read.LAST if key is None else (int(key[0]), min(int(key[1]), 2**31 - 1))
    whole = await service.picture(session, caller.workspace_id, profile_id)
    found = await read.ledger(
        session, caller.workspace_id, whole.profile_id, before, paging.limit + 1
    )
    shown = found[: paging.limit]
    cursor = encode_cursor(*shown[-1][0]) if len(found) > paging.limit else None
    return _page(whole, [entry for _, entry in shown], cursor)


def _page(whole: Picture, items: list[ConsentEntry], cursor: str | None) -> ConsentPage:
    presumed = whole.standing.presumed
    return ConsentPage(
        items=items,
        next_cursor=cursor,
        current=dict(whole.standing.states),
        lines=[
            ConsentLine(**place._asdict(), state=held.state, at=from_ms(held.at))
            for place, held in whole.said.items()
        ],
        contact_points=[
            ContactConsent(**place._asdict(), state=state)
            for place, state in decide.matrix(whole.said, whole.contact_points, presumed)
        ],
        non_personalised=whole.standing.non_personalised,
        regime=whole.law.regime(whole.traits),
    )


@router.post(
    "",
    status_code=201,
    summary="Record a consent or its withdrawal",
    responses=problem_responses(Unavailable),
)
async def state_consent(
    profile_id: UUID,
    body: ConsentCreate,
    caller: UserCaller,
    request: Request,
    idempotency_key: IdempotencyKey = None,
) -> ConsentSaid:
    """Adds a line to the ledger. A withdrawal stops sends before it is answered. A grant to a
    subscription group with double opt-in waits for its confirmation unless `confirmed` says so.
    """
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        wish = await _wish(session, body, caller, idempotency_key)
    made = await service.state(request.state.desk, caller.workspace_id, profile_id, [wish])
    return ConsentSaid(
        message_id=made.message_ids[0],
        profile_id=made.profile_id,
        at=made.at,
        applied=made.applied,
    )


async def _wish(
    session: AsyncSession, body: ConsentCreate, caller: Caller, idempotency_key: str | None
) -> Wish:
    contact_point = normal_contact_point(body.channel, body.contact_point)
    if contact_point is None:
        detail = "No address of this channel: send an email address, a number in E.164, or `*`."
        raise InvalidRequest.at("#/contact_point", detail)
    proof: dict[str, object] = {"actor": caller.subject, "confirmed": body.confirmed}
    if body.wording is not None:
        known = await read.wording(
            session, caller.workspace_id, body.wording.id, body.wording.version
        )
        if known is None:
            detail = "No such wording; PUT it below /api/v1/consents/wordings first."
            raise InvalidRequest.at("#/wording", detail)
        proof |= {"wording_id": known.id, "wording_version": known.version}
    proof |= {k: v for k in ("language", "evidence") if (v := getattr(body, k)) is not None}
    message_id = ""
    if idempotency_key is not None:
        message_id = str(uuid5(caller.workspace_id, f"consent:{idempotency_key}"))
    return Wish(Place(body.purpose, body.channel, contact_point), body.state, proof, message_id)
