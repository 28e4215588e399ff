"""What the events of a block say about traits and consents, folded in log order. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from services.contracts.events import Event
from services.profile.consents.ledger import ConsentEntry, Consents, Statement
from services.profile.identity.resolve import Merge, Resolution
from services.profile.profiles.traits import MAX_NAME_LENGTH, Meta, Traits, Verdict
from services.profile.stream.said import Said, Saying
from services.profile.traits.ledger import Line, Refused
from services.profile.traits.policy import Policy, Refusal


@dataclass(slots=True)
class Folded:
    traits: dict[str, Traits]
    consents: dict[str, Consents]
    ledger: list[ConsentEntry] = field(default_factory=list)
    history: list[Line] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    survivors: dict[str, tuple[Traits, Consents]] = field(default_factory=dict)
    """By merged profile: what was known of the survivor right before it took over."""
    confirmed_purposes: frozenset[str] = frozenset()
    """Purposes of which a grant counts only once its contact point's owner confirmed it."""


def fold(
    sayings: Iterable[Saying],
    resolution: Resolution,
    seqs: Sequence[int],
    policy: Policy,
    folded: Folded,
) -> None:
    """Apply ``sayings`` in order, and the merges where they happened.

    ``seqs``: places of all events in the log. ``folded`` starts with the profiles known before the
    block; missing ones are blank.
    """
    merges = iter(resolution.merges)
    pending = next(merges, None)
    for index, event, statement in sayings:
        while pending is not None and pending.index <= index:
            _absorb(pending, folded)
            pending = next(merges, None)
        owner = resolution.owners[index]
        # First: what needs a consent may come with it.
        if statement.consents:
            _agree(owner, index, event, statement, folded)
        if statement.traits:
            _learn(owner, seqs[index], event, statement, policy, folded)
    if pending is not None:
        for merge in (pending, *merges):
            _absorb(merge, folded)


def _absorb(merge: Merge, folded: Folded) -> None:
    mine = folded.traits.get(merge.winner, Traits())
    agreed = folded.consents.get(merge.winner, Consents())
    folded.survivors[merge.loser] = (mine.copy(), agreed.copy())
    if (traits := folded.traits.get(merge.loser)) is not None:
        folded.traits.setdefault(merge.winner, Traits()).absorb(traits)
    if (consents := folded.consents.get(merge.loser)) is not None:
        folded.consents.setdefault(merge.winner, Consents()).absorb(consents)


def _learn(
    profile_id: str, seq: int, event: Event, statement: Said, policy: Policy, folded: Folded
) -> None:
    rules, source = policy.at(seq), event.source_id
    idle = rules.idle
    known = folded.traits.setdefault(profile_id, Traits())
    meta = Meta(event.occurred_at, rules.priority(source), source, seq)
    consents = folded.consents.get(profile_id)
    agreed = {} if consents is None else consents.current
    for key, value in statement.traits.items():
        verdict: Refusal | Verdict | None = None
        if not idle:
            verdict = rules.refuses(key, value, agreed)
        if verdict is None:
            verdict = known.say(key, value, meta, large=statement.large)
        if verdict is None:
            continue
        if verdict in ("changed", "outranked"):
            lost_to = known.meta[key].seq if verdict == "outranked" else None
            line = Line(
                *(profile_id, event.subject_id, key, value, meta.at, source, meta.priority),
                *(seq, lost_to),
            )
            folded.history.append(line)
            continue
        refused = Refused(
            key[:MAX_NAME_LENGTH], verdict, source, profile_id, event.message_id, meta.at
        )
        folded.refused.append(refused)


def _agree(profile_id: str, index: int, event: Event, said: Said, folded: Folded) -> None:
    at, source, message_id = event.occurred_at, event.source_id, event.message_id
    known = folded.consents.setdefault(profile_id, Consents())
    for line, statement in enumerate(said.consents):
        if statement.place.purpose in folded.confirmed_purposes:
            statement = _unless_confirmed(statement)
        if known.learn(statement, at):
            entry = ConsentEntry(index, line, profile_id, statement, at, source, message_id)
            folded.ledger.append(entry)


def _unless_confirmed(statement: Statement) -> Statement:
    if statement.state == "granted" and not statement.confirmed:
        return replace(statement, state="pending")
    return statement
