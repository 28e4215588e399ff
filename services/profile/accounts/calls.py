"""What group calls say: which account, what of it, and as what the person is in it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

import msgspec

from services.contracts.events import Event
from services.identifiers import normalise

MAX_ROLES = 20
MAX_ROLE_LENGTH = 50


@dataclass(frozen=True, slots=True)
class GroupCall:
    """The group call at ``index`` of a block. ``roles`` None: it says nothing of them."""

    index: int
    account_id: str
    group_id: str
    traits: dict[str, Any]
    roles: tuple[str, ...] | None
    member: bool
    """False where the call speaks of the account only: its sender had no person to name."""


def account_id(workspace_id: UUID, group_id: str) -> str:
    """Name-based, so that replaying the log gives the same accounts.

    The names have a space of their own, so that no account shares its id with a person.
    """
    return str(uuid5(uuid5(workspace_id, "account"), group_id))


def normal_group_id(raw: str) -> str | None:
    """A group id as it is compared, or None for a placeholder such as ``null``: as user ids are."""
    return normalise("user_id", raw)


def normal_roles(raw: Iterable[Any]) -> tuple[str, ...]:
    """Roles as they are compared, in order: trimmed, in small letters, each once.

    What is no text, empty or too long is left out, and so are those beyond ``MAX_ROLES``.
    """
    texts = {each.strip().lower() for each in raw if isinstance(each, str)}
    return tuple(sorted(t for t in texts if 0 < len(t) <= MAX_ROLE_LENGTH)[:MAX_ROLES])


def group_calls(workspace_id: UUID, events: Iterable[Event]) -> list[GroupCall]:
    """The group calls among the events of a block; those that name no account are left out."""
    return [
        _call(index, account_id(workspace_id, group_id), group_id, event)
        for index, event in enumerate(events)
        if event.type == "group" and (group_id := normal_group_id(event.group_id)) is not None
    ]


def _call(index: int, account: str, group_id: str, event: Event) -> GroupCall:
    traits = msgspec.json.decode(event.traits, type=dict[str, Any])
    said: Any = {}
    # Looking for the key in the text spares decoding contexts without it.
    if '"account"' in event.context:
        said = msgspec.json.decode(event.context, type=dict[str, Any]).get("account")
    if not isinstance(said, dict):
        said = {}
    role = said.get("role")
    roles = [role] if isinstance(role, str) else role
    return GroupCall(
        index,
        account,
        group_id,
        traits,
        normal_roles(roles) if isinstance(roles, list) else None,
        said.get("member") is not False,
    )
