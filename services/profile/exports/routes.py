"""Copies of a person's data over HTTP."""

from datetime import datetime
from http import HTTPStatus
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from services.kit.auth import UserCaller
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.errors import (
    ProfileExportNotFound,
    ProfileExportNotReady,
    ProfileNotFound,
)
from services.profile.exports import service, store
from services.profile.exports.tables import ProfileExportRow
from services.profile.exports.worker import BELL

router = APIRouter(
    prefix="/api/v1",
    tags=["profile exports"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)


class ProfileExport(BaseModel):
    """A copy of everything that is held of one person."""

    id: UUID
    state: Literal["running", "ready"]
    size_bytes: int = Field(description="Of the file; 0 until it is ready.")
    requested_at: datetime
    finished_at: datetime | None
    expires_at: datetime = Field(
        description="When the file is deleted; at once when the person is erased."
    )


@router.post(
    "/profiles/{profile_id}/export",
    summary="Gather everything that is held of a person",
    status_code=HTTPStatus.ACCEPTED,
    responses=problem_responses(ProfileNotFound),
)
async def export_profile(profile_id: UUID, request: Request, caller: UserCaller) -> ProfileExport:
    """One ZIP file: the rows of every table of the profile service and of the journeys as JSON,
    sensitive traits included, and every event as CSV. Read the export until it is `ready`, then
    its `/file`; it is kept for seven days. Asking again while it is being made answers with the
    same export.
    """
    state = request.state
    async with workspace_tx(state.sessionmaker, caller.workspace_id) as session:
        now = state.clock.now()
        row = await service.begin(session, caller.workspace_id, profile_id, now)
        shown = _shown(row)
    state.bell.ring(BELL)
    return shown


@router.get(
    "/profile-exports/{export_id}",
    summary="Read how far an export is",
    responses=problem_responses(ProfileExportNotFound),
)
async def read_profile_export(
    export_id: UUID, session: Session, caller: UserCaller
) -> ProfileExport:
    return _shown(await service.get(session, caller.workspace_id, export_id))


@router.get(
    "/profile-exports/{export_id}/file",
    summary="Download an export",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}},
        **problem_responses(ProfileExportNotFound, ProfileExportNotReady),
    },
)
async def download_profile_export(
    export_id: UUID, request: Request, caller: UserCaller
) -> StreamingResponse:
    """A ZIP file. In its CSV a cell that a spreadsheet could take for a formula has an apostrophe
    in front.
    """
    maker, workspace_id = request.state.sessionmaker, caller.workspace_id
    async with workspace_tx(maker, workspace_id) as session:
        row = await service.get_ready(session, workspace_id, export_id)
    headers = {
        "Content-Disposition": f'attachment; filename="person-{export_id}.zip"',
        "Content-Length": str(row.size_bytes),
    }
    parts = store.parts(maker, workspace_id, export_id)
    return StreamingResponse(parts, media_type="application/zip", headers=headers)


def _shown(row: ProfileExportRow) -> ProfileExport:
    return ProfileExport(
        id=row.export_id,
        state="ready" if row.state == "ready" else "running",
        size_bytes=row.size_bytes,
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        expires_at=row.expires_at,
    )
