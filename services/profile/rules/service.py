"""Keeps rule state, segments, watched rules and stages true while people change."""

from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.profile.computed import aggregates
from services.profile.consents.ledger import PERSONALISATION
from services.profile.consents.policy import LAW_TRAITS
from services.profile.recounts import store as recounts
from services.profile.rules import memberships, states, store
from services.profile.rules.advance import Touched
from services.profile.rules.count import Counted
from services.profile.rules.memberships import Pair
from services.profile.rules.ruleset import RuleSet, build
from services.profile.rules.states import Key
from services.profile.stream.service import Applied
from services.rules import LeafState
from services.rules.partials import Sample


class RuleCache:
    """Compiled rules of the workspaces used last; ``revision`` says when they are stale."""

    def __init__(self, size: int = 100) -> None:
        self._size = size
        self._known: OrderedDict[UUID, tuple[int, RuleSet]] = OrderedDict()

    async def get(self, session: AsyncSession, workspace_id: UUID, revision: int) -> RuleSet:
        known = self._known.get(workspace_id)
        if known is None or known[0] != revision:
            definitions = await store.definitions(session, workspace_id)
            plans = await aggregates.plans(session, workspace_id)
            known = (revision, build(definitions, plans))
            self._known[workspace_id] = known
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        self._known.move_to_end(workspace_id)
        return known[1]


@dataclass(slots=True)
class News:
    """What is new about people: what to ask again, and what was counted for them."""

    touched: Touched = field(default_factory=Touched)
    counted: dict[Key, list[int]] = field(default_factory=dict)
    sampled: dict[Key, list[Sample]] = field(default_factory=dict)
    """What events add to computed traits, by (profile, aggregate)."""
    inherited: dict[Key, list[LeafState]] = field(default_factory=dict)
    """States that survivors of merges take over."""
    overdue: list[Key] = field(default_factory=list)
    fresh: set[str] = field(default_factory=set)
    """Profiles that the block made: nothing of them is stored yet."""
    lasted: list[Pair] = field(default_factory=list)
    """(profile, rule) that has now held as long as some rule asks."""
    accounts: set[str] = field(default_factory=set)
    """Accounts that changed in themselves or in their members."""
    new_rules: bool = False
    """Rules ask for the first time, so every state may have a new time to be asked again."""


@dataclass(frozen=True, slots=True)
class Settled:
    changes: list[Change]
    next_due: int | None
    """The earliest ms at which time alone may change what was looked at."""

    def with_due(self, other: int | None) -> "Settled":
        """The same, due at ``other`` if that is earlier."""
        due = [at for at in (self.next_due, other) if at is not None]
        return Settled(self.changes, min(due, default=None))


async def of_block(
    session: AsyncSession, workspace_id: UUID, rules: RuleSet, applied: Applied, counted: Counted
) -> News:
    """What a block of events, already applied to profiles, means for rules. ``counted``: by the
    rules, of its events."""
    news = News(counted=counted.times, sampled=counted.samples)
    if gone := [loser for loser in applied.became if loser in applied.existing]:
        became = {loser: applied.became[loser] for loser in gone}
        await memberships.inherit(session, workspace_id, became)
        await recounts.follow(session, workspace_id, became)
        for (loser, leaf_id), held in (await states.take(session, workspace_id, gone)).items():
            news.inherited.setdefault((became[loser], leaf_id), []).append(held.state)
    for profile_id, leaf_id in news.counted:
        news.touched.read(rules, ("leaf", leaf_id), profile_id)
    news.fresh = {p for p in applied.living if p not in applied.existing}
    news.touched.newcomers(rules, (p for p in applied.living if p in news.fresh))
    news.touched.everything(rules, applied.became.values())
    touch_facts(rules, news.touched, applied)
    return news


def touch_facts(rules: RuleSet, touched: Touched, applied: Applied) -> None:
    for profile_id in applied.living:
        if (traits := applied.folded.traits.get(profile_id)) is not None:
            for key in traits.changed:
                touched.read(rules, ("traits", key), profile_id)
            if not LAW_TRAITS.isdisjoint(traits.changed):
                for read in rules.readers:
                    if read[0] == "consent":
                        touched.read(rules, read, profile_id)
        if (consents := applied.folded.consents.get(profile_id)) is not None:
            purposes = {place.purpose for place in consents.changed}
            for purpose in purposes:
                touched.read(rules, ("consent", purpose), profile_id)
            if PERSONALISATION in purposes:
                touched.everything(rules, [profile_id])
