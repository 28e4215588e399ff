"""Members of lists, put in and taken out over HTTP."""

import csv
import io
from typing import Any, Self
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.contracts.profile import ListMove
from services.identifiers import Policy
from services.kit.auth import Caller, ServiceCaller, UserCaller
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.clock import to_ms
from services.profile.errors import SegmentNotFound
from services.profile.segments import lists
from services.profile.segments.lists import Named

router = APIRouter(
    prefix="/api/v1/segments",
    tags=["segments"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, SegmentNotFound),
)

internal_router = APIRouter(
    prefix="/internal/v1/segments",
    tags=["internal"],
    route_class=StrictRoute,
    include_in_schema=False,
)

MAX_PEOPLE = 10_000
_ID = "profile_id"
_CSV: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "email\nada@example.com\nbob@example.com\n",
            }
        },
    }
}


class PersonNamed(BaseModel):
    """A person who is known already, by one identifier or by id."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"namespace": "email", "value": "ada@example.com"}]},
    )

    namespace: str | None = Field(
        None, max_length=100, description="One of the identity policy, such as `email`."
    )
    value: str | None = Field(None, max_length=1000, description="Normalised as events are.")
    profile_id: UUID | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        named = self.namespace is not None and self.value is not None
        if named == (self.profile_id is not None):
            raise ValueError("give either namespace and value, or profile_id")
        return self


class PeopleNamed(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"members": [{"namespace": "email", "value": "ada@example.com"}]}]
        },
    )

    members: list[PersonNamed] = Field(min_length=1, max_length=MAX_PEOPLE)


class MembersChanged(BaseModel):
    changed: int = Field(description="People who entered (or left) by this request.")
    unchanged: int = Field(description="People who had before.")
    unknown: list[int] = Field(
        description="Places in the request, from 0, of those nobody is known by; people are made "
        "by events, never by a list."
    )


@router.post("/{segment_id}/members", summary="Put people into a list")
async def add_members(
    segment_id: UUID,
    body: PeopleNamed,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> MembersChanged:
    """Each who was not in it is told of by a `segment.entered`."""
    return await _move(segment_id, _people(body), session, caller, request, after, enter=True)


@router.post("/{segment_id}/members/remove", summary="Take people out of a list")
async def remove_members(
    segment_id: UUID,
    body: PeopleNamed,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> MembersChanged:
    """Each who was in it is told of by a `segment.exited`."""
    return await _move(segment_id, _people(body), session, caller, request, after, enter=False)


@router.post(
    "/{segment_id}/members/upload", summary="Put people into a list by CSV", openapi_extra=_CSV
)
async def upload_members(
    segment_id: UUID,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> MembersChanged:
    """A file in UTF-8 with a header, its cells apart by commas, semicolons or tabs. The first
    column that is called `profile_id` or like a namespace of identifiers, in letters of any case,
    names the people; other columns are left alone. At most 10,000 rows and 1 MiB; `unknown` counts
    rows from 0, without the header.
    """
    policy = await request.state.identity_policies.of(session, caller.workspace_id)
    people = _rows(await request.body(), policy)
    return await _move(segment_id, people, session, caller, request, after, enter=True)


@internal_router.post("/{segment_id}/list")
async def move_people(
    segment_id: UUID,
    body: ListMove,
    session: Session,
    caller: ServiceCaller,
    request: Request,
    after: BackgroundTasks,
) -> MembersChanged:
    people = [Named(_ID, str(profile_id)) for profile_id in body.profile_ids]
    enter = body.action == "add"
    return await _move(segment_id, people, session, caller, request, after, enter=enter)


async def _move(
    segment_id: UUID,
    people: list[Named],
    session: Session,
    caller: Caller,
    request: Request,
    after: BackgroundTasks,
    *,
    enter: bool,
) -> MembersChanged:
    state, workspace_id = request.state, caller.workspace_id
    policy = await state.identity_policies.of(session, workspace_id)
    for index, person in enumerate(people):
        if person.namespace not in (_ID, *policy.names):
            detail = f"As namespace {', '.join(policy.names)} are accepted."
            raise InvalidRequest.at(f"#/members/{index}/namespace", detail)
    moved = await lists.move(
        session,
        workspace_id,
        segment_id,
        people,
        policy,
        to_ms(state.clock.now()),
        state.rules,
        enter=enter,
    )
    after.add_task(state.bell.ring, str(workspace_id))
    return MembersChanged(changed=moved.changed, unchanged=moved.unchanged, unknown=moved.unknown)


def _people(body: PeopleNamed) -> list[Named]:
    return [
        Named(_ID, str(each.profile_id))
        if each.profile_id is not None
        else Named(each.namespace or "", each.value or "")
        for each in body.members
    ]


def _rows(body: bytes, policy: Policy) -> list[Named]:
    accepted = (_ID, *policy.names)
    try:
        # Spreadsheets write a byte order mark before the first name and, where the comma is the
        # decimal sign, semicolons between cells.
        text = body.decode("utf-8-sig")
        header = text.partition("\n")[0]
        delimiter = next((sign for sign in ";\t" if sign in header and "," not in header), ",")
        rows = list(csv.DictReader(io.StringIO(text), strict=True, delimiter=delimiter))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequest.at("#/body", f"The file is not CSV in UTF-8: {error}") from error
    names = rows[0].keys() if rows else ()
    found = next(((name, n) for name in names if (n := _namespace(name, accepted))), None)
    if found is None or len(rows) > MAX_PEOPLE:
        raise InvalidRequest.at(
            "#/body",
            f"A header with one of {', '.join(accepted)} and 1 to {MAX_PEOPLE} rows are accepted.",
        )
    column, name = found
    return [Named(name, _cell(row[column], name, index)) for index, row in enumerate(rows)]


def _namespace(column: str | None, accepted: tuple[str, ...]) -> str | None:
    """Which of ``accepted`` a column means; None is that of cells beyond the header."""
    wanted = (column or "").strip()
    if wanted in accepted:
        return wanted
    return next((name for name in accepted if name.lower() == wanted.lower()), None)


def _cell(value: str | None, column: str, index: int) -> str:
    if value is None or "\x00" in value:
        raise InvalidRequest.at(f"#/body/{index}", f"The row has no usable {column}.")
    if column == _ID:
        try:
            return str(UUID(value.strip()))
        except ValueError as error:
            raise InvalidRequest.at(f"#/body/{index}", "A profile_id is a UUID.") from error
    return value
