"""Reading the workspace a key belongs to over HTTP."""

from fastapi import APIRouter

from gateway.workspaces import store
from gateway.workspaces.model import Workspace
from services.kit.auth import UserCaller
from services.kit.postgres import Session
from services.kit.strict import StrictRoute

router = APIRouter(prefix="/api/v1/workspaces", tags=["workspaces"], route_class=StrictRoute)


@router.get(
    "/current", operation_id="read_current_workspace", summary="Read the workspace of the key"
)
async def read_current(_: UserCaller, session: Session) -> Workspace:
    return await store.current(session)
