"""The accounts of a person, divided between the two that the person turns out to be. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from services.profile.accounts.members import Member

Memberships = Mapping[str, Member]
"""By account id."""


def divide_accounts(
    now: Memberships, ours: Memberships, theirs: Memberships
) -> tuple[dict[str, Member], dict[str, Member]]:
    """(who goes on, who lives again), of ``now`` and of what both sides were in before.

    Nobody knows by whose identifiers a group call came: an account goes with who was in it before
    the merge, a new one stays with who goes on. Where both were, each has their own roles back.
    """
    kept: dict[str, Member] = {}
    revived: dict[str, Member] = {}
    for account_id, member in now.items():
        mine, other = ours.get(account_id), theirs.get(account_id)
        if other is None:
            kept[account_id] = member
        elif mine is None:
            revived[account_id] = member
        else:
            kept[account_id], revived[account_id] = _both(member, mine, other)
    return kept, revived


def _both(now: Member, mine: Member, other: Member) -> tuple[Member, Member]:
    said_before = max(mine.roles_at or 0, other.roles_at or 0)
    goes_on, lives_again = replace(mine), replace(other)
    if (now.roles_at or 0) > said_before:
        goes_on.roles, goes_on.roles_at = now.roles, now.roles_at
    if now.last_at > max(mine.last_at, other.last_at):
        goes_on.last_at, goes_on.source = now.last_at, now.source
    if now.removed_at is not None:
        goes_on.removed_at = lives_again.removed_at = now.removed_at
    return goes_on, lives_again
