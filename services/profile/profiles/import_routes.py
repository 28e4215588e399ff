"""People in bulk over HTTP."""

import asyncio
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from services.contracts.tracking import SaidAccepted
from services.identifiers import Policy
from services.kit import strict
from services.kit.auth import UserCaller
from services.kit.postgres import workspace_tx
from services.kit.problems import (
    BodyTooLarge,
    InvalidRequest,
    MalformedBody,
    Unavailable,
    problem_responses,
)
from services.kit.strict import StrictRoute
from services.profile.profiles import imports
from services.profile.profiles.imports import Refusal
from services.profile.stream.say import append
from services.profile.traits.policy import Rules

router = APIRouter(prefix="/api/v1/profiles", tags=["profiles"], route_class=StrictRoute)

MAX_LINES = 1000
_NDJSON = ("application/x-ndjson", "application/ndjson")


class ImportLine(BaseModel):
    """What became of one line."""

    line: int = Field(description="From 1; of NDJSON, empty lines are counted.")
    status: Literal["accepted", "refused"]
    pointer: str | None = Field(
        None,
        description="Of a refused line: JSON pointer to what is wrong in it.",
        examples=["#/traits/email"],
    )
    detail: str | None = Field(None, description="What is wrong and what would be accepted.")


class ImportAnswer(BaseModel):
    accepted: int = Field(description="Lines that are durable; profiles follow in a moment.")
    refused: int = Field(description="Lines of which nothing was taken.")
    lines: list[ImportLine] = Field(description="In the order sent.")


@router.post(
    "/import",
    summary="Import people: identifiers, traits, consents",
    responses=problem_responses(InvalidRequest, MalformedBody, BodyTooLarge, Unavailable),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "array",
                        "maxItems": MAX_LINES,
                        "items": imports.schema(),
                    },
                    "example": [imports.EXAMPLE],
                },
                "application/x-ndjson": {
                    "schema": {"type": "string", "description": "One person per line."},
                    "example": json.dumps(imports.EXAMPLE),
                },
            },
        }
    },
)
async def import_profiles(
    request: Request,
    caller: UserCaller,
    source_id: Annotated[
        str,
        Query(
            min_length=1,
            max_length=100,
            pattern=r"^[^\x00]+$",
            description="The system it comes from: its priority decides between it and others. The "
            "id of a source, whose tracking plan holds here too, or a name of your own.",
            examples=["crm"],
        ),
    ] = "import",
) -> ImportAnswer:
    """At most 1,000 people and 1 MiB, as a JSON list or as NDJSON. Bad lines stop nothing: each
    line is answered, and a refused one can be sent again alone. Every accepted line becomes an
    `identify` event of the source at its time, so profiles, merges and consents follow from it as
    from any event. A line that was sent before changes nothing.
    """
    workspace_id = caller.workspace_id
    async with workspace_tx(request.state.sessionmaker, workspace_id) as session:
        rules = (await request.state.policies.current(session, workspace_id)).latest
        policy = await request.state.identity_policies.of(session, workspace_id)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body, ndjson = await request.body(), content_type in _NDJSON
    calls, answers = await asyncio.to_thread(_read, body, ndjson, source_id, rules, policy)
    if calls:
        accepted = await append(request.state.ingest, workspace_id, source_id, [*calls.values()])
        _note(accepted, [*calls], answers)
    lines = list(answers.values())
    refused = sum(line.status == "refused" for line in lines)
    return ImportAnswer(accepted=len(lines) - refused, refused=refused, lines=lines)


def _note(accepted: SaidAccepted, numbers: list[int], answers: dict[int, ImportLine]) -> None:
    """What ingestion refuses; ``numbers``: the lines of the calls it was sent."""
    for each in accepted.refused:
        number = numbers[each.index]
        answers[number] = _refused(number, Refusal("#" + each.pointer, each.detail))


def _read(
    body: bytes, ndjson: bool, source_id: str, rules: Rules, policy: Policy
) -> tuple[dict[int, dict[str, Any]], dict[int, ImportLine]]:
    """By number of the line the call it makes, and what becomes of it as far as can be told."""
    lines = list(_lines(body, ndjson))
    if len(lines) > MAX_LINES:
        raise InvalidRequest.at("#", f"At most {MAX_LINES} people are accepted at once.")
    calls: dict[int, dict[str, Any]] = {}
    answers: dict[int, ImportLine] = {}
    for number, raw in lines:
        try:
            if isinstance(raw, Refusal):
                raise raw
            calls[number] = imports.call(raw, source_id, rules, policy)
            answers[number] = ImportLine(line=number, status="accepted")
        except Refusal as refusal:
            answers[number] = _refused(number, refusal)
    return calls, answers


def _lines(body: bytes, ndjson: bool) -> Iterator[tuple[int, Any]]:
    """(number of the line, its value, or the ``Refusal`` of what is no JSON)."""
    if not ndjson:
        whole = strict.decode(body)
        if not isinstance(whole, list):
            raise InvalidRequest.at("#", "A list of people is accepted.")
        yield from enumerate(whole, start=1)
        return
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            try:
                yield number, strict.decode(line)
            except MalformedBody as error:
                yield number, Refusal("#", error.detail)


def _refused(number: int, refusal: Refusal) -> ImportLine:
    return ImportLine(line=number, status="refused", pointer=refusal.pointer, detail=refusal.detail)
