"""The producer's own account: what it sent under which id, and what it was answered."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.stream import Request

ACKNOWLEDGED = 200
REFUSALS = (429, 503)
"""The only other answers a producer may get, whatever is broken: both say «later»."""
_ALLOWED = {str(status) for status in (ACKNOWLEDGED, *REFUSALS)}


REFUSED_CONNECTION = "ConnectError"


@dataclass(frozen=True)
class Failure:
    """A request that was not acknowledged."""

    began: float
    ended: float
    """Both on the monotonic clock."""
    answer: str


class Ledger:
    """Written by the producer alone; others watch ``acknowledged_events`` meanwhile."""

    def __init__(self) -> None:
        self._requests: dict[int, tuple[tuple[str, int], ...]] = {}
        self._acknowledged: set[int] = set()
        self.sent_events = 0
        self.acknowledged_events = 0
        self.answers: Counter[str] = Counter()
        """How many requests were answered with which status, or failed with which error."""
        self.failures: list[Failure] = []
        self.without_retry_after = 0
        """Refusals that did not say when to come back."""

    def sends(self, request: Request) -> None:
        if request.number not in self._requests:
            self._requests[request.number] = request.events
            self.sent_events += len(request.events)

    def knows(self, request: Request) -> bool:
        """Whether it was acknowledged."""
        return request.number in self._acknowledged

    def answered(self, request: Request, answer: str, began: float) -> None:
        """``answer``: a status, or the name of the error there was instead."""
        self.answers[answer] += 1
        if answer != str(ACKNOWLEDGED):
            self.failures.append(Failure(began, time.monotonic(), answer))
        elif not self.knows(request):
            self._acknowledged.add(request.number)
            self.acknowledged_events += len(request.events)

    @property
    def wrong_answers(self) -> Counter[str]:
        """Statuses that no fault excuses."""
        wrong = {a: n for a, n in self.answers.items() if a.isdigit() and a not in _ALLOWED}
        return Counter(wrong)

    def write(self, path: Path) -> None:
        """Adds one line per event: message id, serial number, 1 if it was acknowledged, else 0."""
        with path.open("a") as file:
            for number, events in self._requests.items():
                known = int(number in self._acknowledged)
                file.writelines(f"{each}\t{serial}\t{known}\n" for each, serial in events)


def read(path: Path) -> tuple[set[str], set[tuple[str, int]]]:
    """Acknowledged message ids, and every (id, serial number) that was sent."""
    acknowledged: set[str] = set()
    sent: set[tuple[str, int]] = set()
    with path.open() as file:
        for line in file:
            message_id, serial, known = line.split("\t")
            sent.add((message_id, int(serial)))
            if known.strip() == "1":
                acknowledged.add(message_id)
    return acknowledged, sent
