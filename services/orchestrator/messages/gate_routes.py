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
    """No message is claimed against these from the answer on."""
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        await gate_store.close(session, caller.workspace_id, body.withdrawals)
