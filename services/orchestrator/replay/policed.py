"""What the workspace's policies would have said of a replay's messages, in virtual time. Pure.

The same judge as where messages are claimed, with two things it cannot know: what other journeys
sent (caps count this journey's messages only, and the arbiter has nobody to compare with), and what
people had consented to then.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid5

from services.contracts.profile import ProfileFacts
from services.orchestrator.delivery.registry import KINDS
from services.orchestrator.engine.participants import Participant
from services.orchestrator.journeys.effects import Send
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.messages.compose import Kit, address, zone_name
from services.orchestrator.policies import judge
from services.orchestrator.policies.judge import Key, Uses, Waiting
from services.orchestrator.policies.model import PoliciesDocument
from services.orchestrator.replay.model import ReplayPolicies


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    waiting: Waiting
    participant_id: UUID
    expires_at: int


class Policed:
    """Give it what the simulation sends, as far as virtual time has come."""

    def __init__(
        self,
        document: PoliciesDocument,
        graph: Graph,
        channel_id: UUID | None = None,
    ) -> None:
        self._document = document
        self._graph = graph
        self._channel_id = channel_id
        self._queue: list[tuple[int, int, _Message]] = []
        self._serial = 0
        self._withdrawn: dict[UUID, int] = {}
        self._zones: dict[UUID, str | None] = {}
        self._uses: dict[Key, Uses] = {}
        self._taken: Counter[tuple[UUID, int]] = Counter()
        self._held: set[UUID] = set()
        self._waited: set[tuple[UUID, str]] = set()
        self._counts: Counter[str] = Counter()
        self._capped: Counter[str] = Counter()

    def add(
        self,
        sends: Iterable[tuple[Participant, Send]],
        facts: Mapping[UUID, ProfileFacts],
        kit: Kit,
    ) -> None:
        """Messages made since the last call; facts of their people, by the ids asked for."""
        for participant, send in sends:
            message = self._message(participant, send, facts.get(participant.profile_id), kit)
            if message is not None:
                self._push(send.at, message)

    def _message(
        self, participant: Participant, send: Send, facts: ProfileFacts | None, kit: Kit
    ) -> _Message | None:
        """What policies are about, with nothing rendered; others are counted at once."""
        channel_id = self._channel_id or send.channel_id
        kind = KINDS[kit.channel_types[channel_id]]
        known = facts if facts is not None and facts.exists else None
        contact = None if known is None else address(kind, channel_id, known, kit)
        if known is None or (contact is None and (kind.address or kind.device)):
            self._counts["unreachable"] += 1
            return None
        if self._graph.purpose != "marketing" or kind.type == "webhook":
            self._counts["sent"] += 1
            return None
        waiting = Waiting(
            # A message's own moment after quiet hours is the same in every run.
            id=uuid5(participant.id, f"{send.node}/{send.visit}/{channel_id}"),
            journey_id=participant.journey_id,
            profile_id=participant.profile_id,
            channel_id=channel_id,
            medium=kind.medium,
            contact=contact,
            zone=self._zone(known),
            tags=frozenset(send.tags),
            priority=self._graph.priority,
            created_at=send.at,
            reserved=(),
        )
        return _Message(waiting, participant.id, self._expiry(send))

    def _zone(self, facts: ProfileFacts) -> str | None:
        if facts.asked_id not in self._zones:
            self._zones[facts.asked_id] = zone_name(facts, self._graph)
        return self._zones[facts.asked_id]

    def withdraw(self, ended: Iterable[tuple[UUID, int]]) -> None:
        """Participants whom a goal or exit rule let out, and when: what waits is not sent."""
        self._withdrawn.update(ended)

    def run(self, until: int) -> None:
        """Judge everything that is due before ``until``, ms."""
        while self._queue and self._queue[0][0] < until:
            at, _, message = heapq.heappop(self._queue)
            self._judge(message, at)

    def result(self) -> ReplayPolicies:
        """So far."""
        return ReplayPolicies(
            sent=self._counts["sent"],
            capped=dict(sorted(self._capped.items())),
            waited_for_caps=len({message_id for message_id, _ in self._waited}),
            quiet_holds=len(self._held),
            expired=self._counts["expired"],
            withdrawn=self._counts["withdrawn"],
            unreachable=self._counts["unreachable"],
            waiting=len(self._queue),
        )

    def _judge(self, message: _Message, at: int) -> None:
        waiting = message.waiting
        if self._withdrawn.get(message.participant_id, at + 1) <= at:
            self._counts["withdrawn"] += 1
            return
        if at >= message.expires_at:
            self._counts["expired"] += 1
            return
        until = judge.quiet_until(waiting, self._document, at)
        if until is not None:
            self._held.add(waiting.id)
            self._push(self._release_at(waiting, until), message)
            return
        keys = [key for _, key in judge.keys(waiting, self._document)]
        uses = {key: self._uses.setdefault(key, {}) for key in keys}
        found = judge.reserve([waiting], self._document, uses, at)
        for key in found.changed:
            self._uses[key] = judge.kept(uses[key], at)
        refused = found.refused.get(waiting.id)
        if refused is None:
            self._counts["sent"] += 1
        elif refused[0].over == "skip":
            self._capped[refused[0].name] += 1
        else:
            self._waited.add((waiting.id, refused[0].name))
            self._push(refused[1], message)

    def _release_at(self, waiting: Waiting, opens_at: int) -> int:
        hours = self._document.quiet_hours
        assert hours is not None
        place = self._taken[waiting.channel_id, opens_at]
        self._taken[waiting.channel_id, opens_at] += 1
        return judge.release_at(waiting.id, hours, opens_at, place)

    def _expiry(self, send: Send) -> int:
        """The first moment at which it is not sent any more."""
        # As the gate has it: older than so many seconds, or at the moment that the node names.
        expires = send.at + 1_000 * self._document.expiry.marketing_seconds + 1
        if send.expires_after_seconds is None:
            return expires
        return min(expires, send.at + 1_000 * send.expires_after_seconds)

    def _push(self, at: int, message: _Message) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (at, self._serial, message))
