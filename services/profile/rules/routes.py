"""Rules of other services: registered under their own ids, kept counted here."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request

from services.contracts.profile import RuleRegistration, RuleStatus
from services.kit.auth import ServiceCaller
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest
from services.kit.strict import StrictRoute
from services.profile.errors import RuleNotFound
from services.profile.rules import registry, store
from services.profile.rules.store import StoredRule
from services.profile.stream.consumer import rules_bell

router = APIRouter(
    prefix="/internal/v1/rules",
    tags=["internal"],
    route_class=StrictRoute,
    include_in_schema=False,
)


OWN_KINDS = ("segment", "held")
"""Kinds of rules that this service registers by itself."""


@router.put("/{rule_id}")
async def register_rule(
    rule_id: UUID,
    body: RuleRegistration,
    session: Session,
    caller: ServiceCaller,
    request: Request,
    after: BackgroundTasks,
) -> RuleStatus:
    known = await store.find(session, caller.workspace_id, rule_id)
    if known is not None and known.kind in OWN_KINDS:
        raise InvalidRequest.at("#/path/rule_id", "This id belongs to a rule of this service.")
    tree = body.rule.model_dump(mode="json", by_alias=True, exclude_none=True)
    rule = StoredRule(rule_id, body.kind, body.owner, tree, body.watch, "backfilling")
    state = await registry.register(session, caller.workspace_id, rule)
    # After the answer, and so after the commit: the consumer must find it.
    after.add_task(request.state.bell.ring, rules_bell(caller.workspace_id))
    return RuleStatus(rule_id=rule_id, state="ready" if state == "ready" else "backfilling")


@router.get("/{rule_id}")
async def read_rule(rule_id: UUID, session: Session, caller: ServiceCaller) -> RuleStatus:
    known = await store.find(session, caller.workspace_id, rule_id)
    if known is None or known.kind in OWN_KINDS:
        raise _not_found(rule_id)
    return RuleStatus(rule_id=rule_id, state="ready" if known.state == "ready" else "backfilling")


@router.delete("/{rule_id}", status_code=HTTPStatus.NO_CONTENT)
async def unregister_rule(rule_id: UUID, session: Session, caller: ServiceCaller) -> None:
    known = await store.find(session, caller.workspace_id, rule_id)
    if known is None or known.kind in OWN_KINDS:
        raise _not_found(rule_id)
    await registry.unregister(session, caller.workspace_id, rule_id)


def _not_found(rule_id: UUID) -> RuleNotFound:
    return RuleNotFound(f"Rule {rule_id} is not registered.", rule_id=str(rule_id))
