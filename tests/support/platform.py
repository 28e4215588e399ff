"""A running Waymark as its users see it: the public API, the ingestion door, a mailbox."""

from datetime import UTC, datetime
from email import message_from_bytes
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx2
from aiosmtpd.smtp import SMTP, Envelope, Session

from infra.demo.sink import Sink
from tests.support.instance import Instance
from tests.support.waiting import until


class Mailbox(Sink):
    """A local SMTP server; ``subjects`` are those of the messages it accepted, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[bytes] = []

    async def handle_DATA(  # noqa: N802 - the library calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.messages.append(content)
        return await super().handle_DATA(server, session, envelope)

    @property
    def subjects(self) -> list[str]:
        return [str(message_from_bytes(content)["Subject"]) for content in self.messages]


class Platform:
    """Calls to one instance with the keys it made at its first start."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.url = instance.credentials["url"]
        self.write_key = instance.credentials["write_key"]
        self._api = httpx2.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {instance.credentials['secret_key']}"},
            timeout=30.0,
        )

    def close(self) -> None:
        self._api.close()

    def call(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """An API call as it is answered."""
        return self._api.request(method, path, **more)

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, params=query).raise_for_status().json()

    def post(self, path: str, body: Any) -> Any:
        return self.call("POST", path, json=body).raise_for_status().json()

    def put(self, path: str, body: Any) -> Any:
        return self.call("PUT", path, json=body).raise_for_status().json()

    def ingest(self, path: str, body: Any) -> httpx2.Response:
        """A call at the ingestion door, with the write key as the SDKs send it."""
        return httpx2.post(f"{self.url}{path}", json=body, auth=(self.write_key, ""), timeout=30.0)

    def batch(self, *events: dict[str, Any]) -> None:
        """Posts events and insists on the acknowledgement."""
        answer = self.ingest("/v1/batch", {"batch": list(events)})
        assert (answer.status_code, answer.json()) == (200, {"success": True})

    def acknowledged(self, *events: dict[str, Any]) -> bool:
        """Whether a batch was acknowledged; False for what an SDK would try again."""
        try:
            answer = self.ingest("/v1/batch", {"batch": list(events)})
        except httpx2.TransportError:
            return False
        assert answer.status_code in (200, 429, 500, 502, 503, 504), answer.text
        return answer.status_code == 200

    def ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5.0).status_code == 200
        except httpx2.TransportError:
            return False

    def profile(self, user_id: str) -> Any | None:
        """The profile of a user id, None while there is none or nobody answers."""
        query = {"namespace": "user_id", "value": user_id}
        answer = self.call("GET", "/profiles", params=query)
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            return None
        found = answer.raise_for_status().json()["items"]
        return found[0] if found else None

    def count(self, event: str) -> int:
        """How often an event was tracked, as trends say; 0 while they are not available."""
        query = {
            "since": "2000-01-01T00:00:00Z",
            "until": "2100-01-01T00:00:00Z",
            "interval": "total",
            "series": [{"event": event}],
        }
        answer = self.call("POST", "/analytics/trends", json=query)
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            return 0
        points = answer.raise_for_status().json()["points"]
        return int(points[0]["value"]) if points else 0

    def await_count(self, event: str, count: int, within: float = 20.0) -> None:
        until(lambda: self.count(event) >= count, within=within, what=f"{count} of {event}")
        assert self.count(event) == count

    def settled(self, journey_id: str) -> list[str]:
        """The states of a journey's messages that have come to their end."""
        answer = self.call("GET", "/messages", params={"journey_id": journey_id})
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            return []
        states = [m["state"] for m in answer.raise_for_status().json()["items"]]
        return [s for s in states if s in ("accepted", "failed", "skipped", "unknown")]

    def email_journey(self, mailbox: Mailbox, event: str, *, name: str | None = None) -> str:
        """Publishes «on ``event``, mail its `subject` property»; the journey's id."""
        channel = self.post(
            "/channels",
            {
                "type": "email",
                "name": "Mailbox",
                "host": "127.0.0.1",
                "port": mailbox.port,
                "tls": "none",
                "from_address": "hello@example.com",
            },
        )
        template = self.post(
            "/message-templates",
            {
                "name": "Echo",
                "subject": "{{ event.properties.subject }}",
                "text": "Hello {{ profile.traits.first_name }}.",
            },
        )
        graph = {
            "name": name or f"Mail on {event}",
            "entry": {
                "kind": "event",
                "event": event,
                "instance_key": ["subject"],
                "entry_mode": "once",
                "next": "mail",
            },
            "nodes": [
                {
                    "id": "mail",
                    "type": "message",
                    "channel_id": channel["id"],
                    "template_id": template["id"],
                    "next": "end",
                },
                {"id": "end", "type": "exit", "reason": "mailed"},
            ],
        }
        journey = self.post("/journeys", {"graph": graph})
        self.post(f"/journeys/{journey['id']}/publish", {})
        return str(journey["id"])


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def identify(user_id: str, *, consent: bool = True, **traits: Any) -> dict[str, Any]:
    """An identify call as a server-side SDK sends it, with the person's consent to marketing."""
    return {
        "type": "identify",
        "messageId": uuid4().hex,
        "userId": user_id,
        "timestamp": now(),
        "traits": traits,
        "context": {"consent": {"categoryPreferences": {"marketing": consent}}},
    }


def track(user_id: str, event: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": uuid4().hex,
        "userId": user_id,
        "event": event,
        "timestamp": now(),
        "properties": properties,
    }
