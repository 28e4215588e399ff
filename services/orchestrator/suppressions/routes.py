"""Suppressed contact points over HTTP."""

from fastapi import APIRouter

from services.kit.auth import Forbidden, Unauthenticated
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.suppressions import store
from services.orchestrator.suppressions.model import (
    SuppressedContact,
    SuppressionLift,
    SuppressionLifted,
)

router = APIRouter(
    prefix="/api/v1/suppressed-contacts",
    tags=["messages"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)


@router.get("", summary="List suppressed contact points")
async def list_suppressed_contacts(
    session: Session, paging: PagingParams
) -> Page[SuppressedContact]:
    """Addresses and numbers to which nothing is sent, by their text. What would go there is skipped
    with the reason `suppressed`."""
    after = paging.after(str)
    rows = await store.page(session, None if after is None else str(after[0]), paging.limit + 1)
    items = [SuppressedContact.model_validate(row) for row in rows[: paging.limit]]
    more = encode_cursor(items[-1].contact) if len(rows) > paging.limit else None
    return Page(items=items, next_cursor=more)


@router.post("/lift", summary="Send to a contact point again")
async def lift_suppressed_contact(body: SuppressionLift, session: Session) -> SuppressionLifted:
    """For an address that was repaired. Consents that a complaint withdrew stay withdrawn. In the
    body and not in the path, as addresses do not belong in logs."""
    return SuppressionLifted(lifted=await store.lift(session, body.contact))
