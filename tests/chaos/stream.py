"""What a producer sends, made from a seed alone: the same seed, the same requests in order."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EVENTS = ("Product Viewed", "Cart Updated", "Order Completed", "Store Visited", "Coupon Used")
REPEATED = 0.05
"""Share of the requests that are sent once more after they were acknowledged."""
REUSED = 0.01
"""Share of the events that come with the message id of another one before them."""
ABANDONED = 0.02
"""Share of the requests that are never tried again once one try was not acknowledged."""
_SINGLE = 0.3
_PEOPLE = 2000
# Days around the end of a month, so that one block spans partitions of ClickHouse.
_FIRST = datetime(2025, 6, 21, tzinfo=UTC)
_MINUTES = 20 * 24 * 60


@dataclass(frozen=True, slots=True)
class Request:
    number: int
    path: str
    body: bytes
    events: tuple[tuple[str, int], ...]
    """Message id and serial number of each event; serials are unique, ids are not."""
    repeat_at: int | None
    """The request is sent again, as it is, about when the request of this number is sent."""
    abandoned: bool


def requests(seed: str, events: int | None, largest_batch: int) -> Iterator[Request]:
    """``events`` events (None: without end) in batches of up to ``largest_batch`` and singly."""
    made = _Events(seed)
    choose = random.Random(seed)  # noqa: S311 - a fault is to be repeated, not to be secret
    number = 0
    while events is None or made.count < events:
        single = choose.random() < _SINGLE
        size = 1 if single else choose.randint(1, largest_batch)
        size = size if events is None else min(size, events - made.count)
        batch = [made.next() for _ in range(size)]
        content = batch[0] if single else {"batch": batch}
        kind = str(batch[0]["type"])
        yield Request(
            number,
            f"/v1/{kind}" if single else "/v1/batch",
            json.dumps(content).encode(),
            tuple((str(e["messageId"]), made.count - size + i) for i, e in enumerate(batch)),
            number + choose.randint(1, 200) if choose.random() < REPEATED else None,
            choose.random() < ABANDONED,
        )
        number += 1


class _Events:
    def __init__(self, seed: str) -> None:
        self._random = random.Random(f"events {seed}")  # noqa: S311
        self._prefix = f"chaos-{seed}"
        self.count = 0

    def next(self) -> dict[str, object]:
        choose, serial = self._random, self.count
        self.count += 1
        reused = serial and choose.random() < REUSED
        person = choose.randrange(_PEOPLE)
        at = _FIRST + timedelta(minutes=choose.randrange(_MINUTES))
        event: dict[str, object] = {
            "messageId": f"{self._prefix}-{choose.randrange(serial) if reused else serial}",
            "userId": f"user-{person}",
            "timestamp": at.isoformat(),
            "type": "track",
            "event": choose.choice(EVENTS),
            "properties": {"serial": serial, "amount": choose.randrange(100_000) / 100},
        }
        if choose.random() < 0.02:
            event |= {"type": "identify", "anonymousId": f"visitor-{person}-{choose.randrange(3)}"}
            event |= {"traits": {"visits": serial}, "context": {"serial": serial}}
        return event
