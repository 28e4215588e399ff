"""The send gate over HTTP, for the service that answers people who withdraw."""

from fastapi import APIRouter, Request

from services.contracts.orchestrator import GateClosing
from services.kit.auth import ServiceCaller
from services.kit.postgres import workspace_tx
from services.kit.strict import StrictRoute
from services.orchestrator.messages import gate_store

router = APIRouter(
    prefix="/internal/v1/gate", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


@router.post("/withdrawals", status_code=204)
async def close_gate(body: GateClosing, request: Request, caller: ServiceCaller) -> None:
    """No message is claimed or handed to a provider against these from the answer on."""
    maker, workspace_id = request.state.sessionmaker, caller.workspace_id
    async with workspace_tx(maker, workspace_id) as session:
        await gate_store.close(session, workspace_id, body.withdrawals)
    people = {each.profile_id for each in body.withdrawals}
    async with workspace_tx(maker, workspace_id) as session:
        ids = await gate_store.unsent(session, workspace_id, people)
    for message_id in ids:
        # One at a time: who holds no lock while it waits for another cannot deadlock with senders.
        async with workspace_tx(maker, workspace_id) as session:
            await gate_store.recall(session, workspace_id, message_id)
