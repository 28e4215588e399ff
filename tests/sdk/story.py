"""The people and calls of a run, and the events that have to become of them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

Event = dict[str, Any]
ORDERED_AT = "2024-05-06T07:08:09.123+00:00"
ORDER = {"revenue": 12.5, "currency": "EUR", "products": [{"sku": "s1", "quantity": 2}]}


@dataclass(frozen=True)
class Run:
    """One use of a client against ``url``; the ids are nobody else's."""

    key: str
    source_id: str
    url: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    ordered_at: str = ORDERED_AT
    token: str = field(default_factory=lambda: uuid4().hex[:12])
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def user(self) -> str:
        return f"u-{self.token}"

    @property
    def visitor(self) -> str:
        return f"v-{self.token}"

    @property
    def before(self) -> str:
        """The id the user had before, which the alias call names."""
        return f"b-{self.token}"

    @property
    def group(self) -> str:
        return f"g-{self.token}"

    @property
    def traits(self) -> Event:
        return {"email": f"{self.token}@example.com", "name": "Ada", "plan": "pro"}

    def told(self) -> dict[str, Any]:
        """What the client is told, as JSON holds it."""
        names = {name: getattr(self, name) for name in ("user", "visitor", "before", "group")}
        own = {name: value for name, value in asdict(self).items() if name != "began"}
        return own | names | {"email": self.traits["email"]}


Expect = Callable[[Run], Event]
"""The fields that matter of one stored event; objects may hold more than is said here."""


def identify(run: Run) -> Event:
    return {"type": "identify", "event": "identify", "user_id": run.user, "traits": run.traits}


def order(run: Run) -> Event:
    return {
        "type": "track",
        "event": "Order Completed",
        "user_id": run.user,
        "occurred_at": datetime.fromisoformat(ORDERED_AT),
        "properties": ORDER,
    }


def order_now(run: Run) -> Event:
    """From a client without a way to say when it happened."""
    return {k: v for k, v in order(run).items() if k != "occurred_at"}


def visit(run: Run) -> Event:
    seen = {"type": "track", "event": "Product Viewed", "properties": {"sku": "s1"}}
    return {**seen, "user_id": "", "anonymous_id": run.visitor}


def page(run: Run) -> Event:
    properties = {"url": "https://shop.example/home", "title": "Home"}
    return {"type": "page", "event": "Page Viewed", "user_id": run.user, "properties": properties}


def named_page(run: Run) -> Event:
    return _and_properties(page(run), category="Docs", name="Home")


def screen(run: Run) -> Event:
    seen = {"type": "screen", "event": "Screen Viewed", "user_id": run.user}
    return {**seen, "properties": {"name": "Main", "tab": 1}}


def group(run: Run) -> Event:
    return {"type": "group", "event": "group", "user_id": run.user, "traits": {"name": "Acme"}}


def group_itself(run: Run) -> Event:
    """A group that is described, and nobody with it."""
    return {"type": "group", "event": "group", "user_id": "", "traits": {"name": "Acme"}}


def alias(run: Run) -> Event:
    return {"type": "alias", "event": "alias", "user_id": run.user}


def _and_properties(event: Event, **more: Any) -> Event:
    return {**event, "properties": {**event["properties"], **more}}


def holds(stored: Any, expected: Any) -> bool:
    """Whether everything of ``expected`` is in ``stored``."""
    if isinstance(expected, dict):
        return isinstance(stored, dict) and all(
            name in stored and holds(stored[name], value) for name, value in expected.items()
        )
    return bool(stored == expected)
