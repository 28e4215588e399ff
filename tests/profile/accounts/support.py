"""Words that tests about accounts share."""

from typing import Any
from uuid import UUID

from services.contracts.changes import Change
from services.contracts.events import Event
from services.profile.accounts.calls import account_id
from tests.profile.conftest import World

GOLD: dict[str, Any] = {"field": "account.tier", "operator": "=", "value": "gold"}


def user(number: int) -> tuple[str, str]:
    return ("user_id", f"u{number}")


def group(
    world: World,
    number: int,
    account: str = "acme",
    /,
    *,
    role: Any = None,
    at: int = 10,
    **traits: Any,
) -> Event:
    """A group call of person ``number`` at ``at`` ms."""
    context = {} if role is None else {"account": {"role": role}}
    return world.event(
        user(number), type="group", group_id=account, traits=traits, context=context, at=at
    )


def id_of(world: World, name: str = "acme") -> str:
    return account_id(world.workspace_id, name)


def told(changes: list[Change], type_: str) -> list[tuple[str, dict[str, Any]]]:
    return [(c.profile_id, c.data) for c in changes if c.type == type_]


async def segment(world: World, *rules: dict[str, Any], name: str = "A segment") -> str:
    body = {"name": name, "rule": {"combinator": "and", "rules": list(rules)}}
    answer = await world.call("POST", "/api/v1/segments", body)
    assert answer.status_code == 201, answer.text
    segment_id: str = answer.json()["id"]
    await world.ready(f"/api/v1/segments/{segment_id}", "status")
    return segment_id


async def members(world: World, name: str = "acme", **params: Any) -> dict[str, list[str]]:
    """Roles by profile id."""
    found = await world.get(f"/accounts/{UUID(id_of(world, name))}/members", **params)
    return {m["profile_id"]: m["roles"] for m in found["items"]}
