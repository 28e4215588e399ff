"""Deliver batches to `POST /v1/batch`: retried while that can help, split where it cannot."""

from __future__ import annotations

import gzip
import random
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

# Retryable for Segment's own SDKs as well; everything else in 4xx is a verdict on the request.
_RETRYABLE = frozenset({408, 410, 425, 429, 460})
_NEVER_RETRYABLE = frozenset({501, 505})
_ABOUT_THE_BODY = frozenset({400, 413, 422})
_MAX_WAIT_SECONDS = 30.0
_MAX_RETRY_AFTER_SECONDS = 300.0
# Below this a batch may well hold nothing but bad events; above, the whole request is at fault.
_TOO_MANY_REFUSED = 10

_HEAD = b'{"batch":['
_TAIL = b'],"context":{"library":{"name":"waymark-import","version":"0.1.0"}}}'
ENVELOPE_BYTES = len(_HEAD) + len(_TAIL)


class NotDelivered(Exception):
    """A batch could not be delivered and the import has to end; the text says why."""


class _Refused(Exception):
    """The server refused this very body (400, 413, 422); the text is its message."""


@dataclass(slots=True)
class Event:
    """An encoded event and where it came from."""

    position: int
    line: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently a batch is sent again; `base_seconds` doubles to 30 s."""

    limit: int = 12
    base_seconds: float = 0.5


@dataclass(slots=True)
class Sender:
    """Thread-safe sender of batches; `stop` ends waits and makes deliveries fail at once."""

    url: str
    write_key: str
    retries: Retries = field(default_factory=Retries)
    compress: bool = False
    connections: int = 4
    stop: threading.Event = field(default_factory=threading.Event)
    retried: int = 0
    failure: str | None = None
    interrupted: bool = False
    _client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self._client = httpx2.Client(
            auth=httpx2.BasicAuth(self.write_key, ""),
            timeout=httpx2.Timeout(60.0, connect=10.0),
            limits=httpx2.Limits(max_connections=self.connections),
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def interrupt(self) -> None:
        """Finish the requests on their way and start no other."""
        self.interrupted = True
        self.stop.set()

    def check(self) -> None:
        """Raises NotDelivered once nothing more is to be sent."""
        if self.stop.is_set():
            raise NotDelivered(self.failure or "interrupted")

    def deliver(self, events: list[Event]) -> list[tuple[Event, str]]:
        """Deliver the events; returns those the server refuses, with its reason.

        Raises NotDelivered when retries are used up, the key is refused, or nothing is accepted.
        """
        try:
            refused = self._deliver(events) if events else []
            if len(refused) == len(events) >= _TOO_MANY_REFUSED:
                raise NotDelivered(f"the server refuses every event: {refused[0][1]}")
        except NotDelivered as error:
            # The first failure is the cause; the others only follow from the stop.
            self.failure = self.failure or str(error)
            self.stop.set()
            raise
        return refused

    def _deliver(self, events: list[Event]) -> list[tuple[Event, str]]:
        try:
            self._post_until_accepted(events)
        except _Refused as error:
            if len(events) == 1:
                return [(events[0], str(error))]
            middle = len(events) // 2
            return self._deliver(events[:middle]) + self._deliver(events[middle:])
        return []

    def _post_until_accepted(self, events: list[Event]) -> None:
        body = _HEAD + b",".join([event.data for event in events]) + _TAIL
        headers = {"Content-Type": "application/json"}
        if self.compress:
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        for attempt in range(self.retries.limit + 1):
            self.check()
            problem, pause = self._post(body, headers)
            if problem is None:
                return
            if attempt < self.retries.limit:
                self.retried += 1
                self.stop.wait(pause if pause is not None else self._backoff(attempt))
        raise NotDelivered(f"gave up after {self.retries.limit} retries: {problem}")

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[str | None, float | None]:
        """One attempt: (None, _) when accepted, else (what to say, seconds the server asks for)."""
        try:
            answer = self._client.post(f"{self.url}/v1/batch", content=body, headers=headers)
        except httpx2.TransportError as error:
            return f"{type(error).__name__}: {error}", None
        status = answer.status_code
        if status == 200:
            return None, None
        said = f"{status} {_message(answer)}"
        if status in _ABOUT_THE_BODY:
            raise _Refused(said)
        if status in _RETRYABLE or (status >= 500 and status not in _NEVER_RETRYABLE):
            return said, _retry_after(answer.headers.get("Retry-After"))
        raise NotDelivered(f"the server answered {said}")

    def _backoff(self, attempt: int) -> float:
        longest = min(self.retries.base_seconds * 2.0**attempt, _MAX_WAIT_SECONDS)
        return longest * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, not a secret


def _message(answer: httpx2.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:200]
    if isinstance(body, dict):
        return str(body.get("message") or body.get("detail") or body)[:300]
    return str(body)[:200]


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait: the header is a number, or a date that proxies like to send."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    if not seconds >= 0:  # NaN is not, either
        return 0.0
    return min(seconds, _MAX_RETRY_AFTER_SECONDS)
