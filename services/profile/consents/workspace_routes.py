"""Wordings of consents, and the law that applies, over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.consents import policy as law
from services.profile.consents import policy_store, read
from services.profile.consents.model import ConsentPolicy, Version, Wording, WordingId, WordingTexts
from services.profile.consents.statements import MAX_VERSION
from services.profile.errors import WordingInUse
from services.profile.stream import store as stream

router = APIRouter(
    prefix="/api/v1/consents",
    tags=["consents"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)


@router.get("/wordings", summary="List the texts people agree to")
async def list_wordings(
    session: Session, caller: UserCaller, paging: PagingParams
) -> Page[Wording]:
    """By id and version."""
    key = paging.after(str, int)
    # Bound to what the column can hold: a made-up cursor is a page, not an error.
    after = ("", 0) if key is None else (str(key[0]), min(int(key[1]), MAX_VERSION))
    found = await read.wordings(session, caller.workspace_id, after, paging.limit + 1)
    shown = found[: paging.limit]
    more = len(found) > paging.limit
    cursor = encode_cursor(shown[-1].id, shown[-1].version) if more else None
    return Page(items=shown, next_cursor=cursor)


@router.put(
    "/wordings/{wording_id}/versions/{version}",
    summary="Write a version of a text",
    responses=problem_responses(WordingInUse),
)
async def put_wording(
    wording_id: WordingId,
    version: Annotated[Version, Path()],
    body: WordingTexts,
    session: Session,
    caller: UserCaller,
    request: Request,
) -> Wording:
    """Creates it, or changes it as long as nobody agreed to it; then write the next version."""
    workspace_id, texts = caller.workspace_id, body.model_dump(exclude_none=True)
    if not texts:
        raise InvalidRequest.at("#", "Give the text in `en`, in `zh` or in both.")
    await stream.lock(session, workspace_id)
    known = await read.wording(session, workspace_id, wording_id, version)
    if known is not None and known.in_use and known.texts != body:
        raise WordingInUse(f"Somebody agreed to version {version} of {wording_id}.")
    now = request.state.clock.now()
    await read.put_wording(session, workspace_id, wording_id, version, texts, now)
    written = await read.wording(session, workspace_id, wording_id, version)
    assert written is not None
    return written


@router.get("/policy", summary="Read what the law takes for granted")
async def read_policy(session: Session, caller: UserCaller) -> ConsentPolicy:
    return _shown(await policy_store.policy(session, caller.workspace_id))


@router.put("/policy", summary="Change what the law takes for granted")
async def put_policy(body: ConsentPolicy, session: Session, caller: UserCaller) -> ConsentPolicy:
    """Sends and facts follow at once; segments that read consents follow person by person, when
    something about the person changes. Under `gdpr` and `pipl` nothing is allowed before it was
    granted, and the choice not to be personalised is offered under each of the three.
    """
    await stream.lock(session, caller.workspace_id)
    said = law.Policy(
        body.region,
        body.countries,
        frozenset(body.presumed_purposes),
        frozenset(body.sensitive_purposes),
    )
    await policy_store.put(session, caller.workspace_id, said)
    return _shown(said)


def _shown(found: law.Policy) -> ConsentPolicy:
    return ConsentPolicy(
        region=found.region,
        countries=dict(found.countries),
        presumed_purposes=sorted(found.presumed_purposes),
        sensitive_purposes=sorted(found.sensitive_purposes),
    )
