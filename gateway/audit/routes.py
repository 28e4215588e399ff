"""Reading the audit log over HTTP."""

from fastapi import APIRouter

from gateway.audit import store
from gateway.audit.model import AuditEntry
from gateway.callers import AdminCaller
from gateway.paging import after_id, page_of
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.strict import StrictRoute

router = APIRouter(prefix="/api/v1/audit-log", tags=["audit log"], route_class=StrictRoute)


@router.get("", operation_id="list_audit_log", summary="Read the audit log, newest first")
async def list_entries(_: AdminCaller, session: Session, paging: PagingParams) -> Page[AuditEntry]:
    return page_of(await store.page(session, after_id(paging), paging.limit + 1), paging)
