"""Receipts over HTTP."""

from uuid import UUID

from fastapi import APIRouter

from services.kit.auth import Forbidden, Unauthenticated
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.errors import MessageNotFound
from services.orchestrator.messages import service as messages
from services.orchestrator.receipts import store
from services.orchestrator.receipts.model import Receipt, Receipts

router = APIRouter(
    prefix="/api/v1/messages",
    tags=["messages"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden, MessageNotFound),
)


@router.get("/{message_id}/receipts", summary="List what became of a message")
async def list_receipts(message_id: UUID, session: Session) -> Receipts:
    """Delivered, opened, clicked, bounced …, each with the first time and how often."""
    await messages.get(session, message_id)
    rows = await store.of_message(session, message_id)
    return Receipts(items=[Receipt.model_validate(row) for row in rows])
