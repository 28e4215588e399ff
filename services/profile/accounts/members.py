"""Who is in which account, and how group calls and merges of people change it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from services.contracts.events import Event
from services.profile.accounts.calls import GroupCall
from services.profile.identity.resolve import Merge, Resolution

Key = tuple[str, str]
"""(profile id, account id)."""


@dataclass(slots=True)
class Member:
    """A person in an account; times in ms. See ``AccountMemberRow``."""

    since: int
    last_at: int
    source: str
    roles: tuple[str, ...] = ()
    roles_at: int | None = None
    removed_at: int | None = None

    def join(self, at: int, source: str, roles: tuple[str, ...] | None) -> bool:
        """A group call; whether anybody can see a difference.

        Roles: the last statement by event time counts. A call older than the removal is too late.
        """
        if self.removed_at is not None:
            if at <= self.removed_at:
                return False
            self.since, self.last_at, self.source = at, at, source
            self.roles, self.roles_at, self.removed_at = (), None, None
            self._say(at, roles)
            return True
        self.since = min(self.since, at)
        if at >= self.last_at:
            self.last_at, self.source = at, source
        before = self.roles
        self._say(at, roles)
        return self.roles != before

    def _say(self, at: int, roles: tuple[str, ...] | None) -> None:
        if roles is not None and (self.roles_at is None or at >= self.roles_at):
            self.roles, self.roles_at = roles, at

    def absorb(self, other: "Member") -> None:
        """A merge of two people in the same account: all their roles, their whole time."""
        if self.removed_at is not None and other.removed_at is not None:
            self.removed_at = max(self.removed_at, other.removed_at)
        else:
            self.removed_at = None
        if other.last_at > self.last_at:
            self.source = other.source
        self.since = min(self.since, other.since)
        self.last_at = max(self.last_at, other.last_at)
        self.roles = tuple(sorted({*self.roles, *other.roles}))
        said = [at for at in (self.roles_at, other.roles_at) if at is not None]
        self.roles_at = max(said, default=None)


Joined = tuple[dict[str, Member], dict[str, Member]]
"""What both sides of a merge were in just before it, by account id: survivor, merged."""


@dataclass(slots=True)
class Members:
    """Memberships by profile and account, and what a block changed of them."""

    held: dict[str, dict[str, Member]] = field(default_factory=dict)
    called: dict[Key, None] = field(default_factory=dict)
    """Memberships that a call confirmed or changed, as the person was named then."""
    changed: dict[Key, None] = field(default_factory=dict)
    """Those of them in which anybody can see a difference."""
    joined: list[Joined] = field(default_factory=list)
    """By merge."""

    def join(self, profile_id: str, call: GroupCall, event: Event) -> None:
        key = (profile_id, call.account_id)
        self.called[key] = None
        mine = self.held.setdefault(profile_id, {})
        known = mine.get(call.account_id)
        if known is None:
            at = event.occurred_at
            known = mine[call.account_id] = Member(at, at, event.source_id)
            known.join(at, event.source_id, call.roles)
            self.changed[key] = None
        elif known.join(event.occurred_at, event.source_id, call.roles):
            self.changed[key] = None

    def merge(self, winner: str, loser: str) -> None:
        """All that ``loser`` belonged to, ``winner`` belongs to."""
        survivor, merged = (self.held.get(each, {}) for each in (winner, loser))
        self.joined.append(({a: replace(m) for a, m in survivor.items()}, dict(merged)))
        for account_id, member in self.held.pop(loser, {}).items():
            mine = self.held.setdefault(winner, {})
            if account_id in mine:
                mine[account_id].absorb(member)
            else:
                mine[account_id] = member


def fold(
    calls: Iterable[GroupCall], events: Sequence[Event], resolution: Resolution, members: Members
) -> None:
    """Apply calls in log order, and merges where they happened, so that where the log is cut into
    blocks makes no difference. ``members`` starts with what was known before the block."""
    merges = iter(resolution.merges)
    pending: Merge | None = next(merges, None)
    for call in calls:
        while pending is not None and pending.index <= call.index:
            members.merge(pending.winner, pending.loser)
            pending = next(merges, None)
        if call.member:
            members.join(resolution.owners[call.index], call, events[call.index])
    if pending is not None:
        for merge in (pending, *merges):
            members.merge(merge.winner, merge.loser)
