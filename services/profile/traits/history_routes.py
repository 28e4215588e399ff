"""What was said about a trait of a person, and when, over HTTP."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.errors import ProfileNotFound
from services.profile.profiles import service
from services.profile.traits import ledger, store
from services.profile.traits.reveal import Reveal

router = APIRouter(
    prefix="/api/v1/profiles",
    tags=["profiles"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

_END = 2**63 - 1


class TraitStatement(BaseModel):
    """Something new that was said about a trait; a repetition adds none."""

    value: Any = Field(description="Null where the trait was deleted, or its value is masked.")
    masked: bool = Field(description="The value is not shown.")
    said_at: datetime = Field(description="Time of the event that said it.")
    source_id: str = Field(description="`api` for changes through the API.")
    priority: int = Field(description="Of the source, when it was said.")
    counted: bool = Field(
        description="False: something said later, or by a source of a higher priority, was known."
    )
    subject_id: UUID = Field(description="Of the identifier the event named the person by.")
    profile_id: UUID = Field(description="The profile it was said of, before later merges.")


@router.get(
    "/{profile_id}/traits/{name}/history",
    summary="History of a trait of a profile",
    responses=problem_responses(ProfileNotFound),
)
async def list_trait_history(
    profile_id: UUID,
    name: Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$", examples=["plan"])],
    session: Session,
    caller: UserCaller,
    paging: PagingParams,
    reveal: Reveal,
) -> Page[TraitStatement]:
    """What arrived last comes first, that of merged profiles included. At least the last 100
    statements per profile and trait are kept.
    """
    workspace_id = caller.workspace_id
    living = await service.canonical(session, workspace_id, profile_id)
    key = paging.after(int)
    before = _END if key is None else int(key[0])
    found = await ledger.history(session, workspace_id, living, name, before, paging.limit + 1)
    masked = not reveal and name in await store.masked(session, workspace_id)
    shown = found[: paging.limit]
    cursor = encode_cursor(shown[-1].seq) if len(found) > paging.limit else None
    return Page(items=[_statement(line, masked) for line in shown], next_cursor=cursor)


def _statement(line: ledger.Line, masked: bool) -> TraitStatement:
    return TraitStatement(
        value=None if masked else line.value,
        masked=masked,
        said_at=datetime.fromtimestamp(line.at / 1000, UTC),
        source_id=line.source,
        priority=line.priority,
        counted=line.lost_to is None,
        subject_id=UUID(line.subject_id),
        profile_id=UUID(line.profile_id),
    )
