"""The real clients for browsers, in headless Chromium on pages of another origin."""

import json
import shutil
from collections.abc import Iterator
from http import HTTPStatus
from threading import Lock
from urllib.parse import quote

import pytest

from gateway.routing import route
from tests.sdk import story
from tests.sdk.browser import Browser, Shop
from tests.sdk.conftest import need
from tests.sdk.runs import RETRIED, Client, End, Outcome, Use, matrix, statuses, stored
from tests.sdk.story import Event, Expect, Run
from tests.sdk.verdict import check
from tests.support.http_faults import Exchange
from tests.support.platform import Platform
from tests.support.waiting import until

STORED_WITHIN_S = 60.0
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
OK = frozenset({"ok"})
STAYED_OR_LEFT = frozenset({"ok", "page_left"})
SHORT = frozenset({"ok", "refused_key", "500_twice", "answer_lost"})
LEFT = SHORT | {"page_left"}


def of_visitor(expect: Expect) -> Expect:
    """Browsers say both ids: the visitor's and, once it is known, the user's."""

    def expected(run: Run) -> Event:
        return expect(run) | {"anonymous_id": run.visitor}

    return expected


def first_page(run: Run) -> Event:
    """Before identify, or after it: the client may have been told by then."""
    return {"type": "page", "event": "Page Viewed", "anonymous_id": run.visitor}


def named_page(run: Run) -> Event:
    return first_page(run) | {"properties": {"name": "Home", "category": "Docs"}}


SEGMENT: tuple[Expect, ...] = (
    named_page,
    *map(of_visitor, (story.identify, story.order, story.group)),
    story.alias,
)
POSTHOG: tuple[Expect, ...] = (
    *(first_page, of_visitor(story.identify)),
    *(story.order, story.group, story.alias),
)
JITSU: tuple[Expect, ...] = (
    first_page,
    *map(of_visitor, (story.identify, story.order_now, story.group)),
)
CLIENTS = [
    Client(
        "segment-browser", ("segment",), "analytics.js", SEGMENT, rf"ajs-next-\d+-{UUID}",
        in_short=LEFT | {"429"}, asks_first=True,
    ),
    Client(
        "segment-browser-single", ("segment",), "analytics.js", SEGMENT, rf"ajs-next-\d+-{UUID}",
        {"single": True}, requests=5, asks_first=True,
    ),
    Client(
        "rudder-browser", ("rudder",), "RudderLabs JavaScript SDK", SEGMENT, UUID,
        in_short=LEFT, requests=5, asks_first=True,
    ),
    Client(
        "rudder-browser-batch", ("rudder",), "RudderLabs JavaScript SDK", SEGMENT, UUID,
        {"batch": True}, in_short=OK, asks_first=True,
    ),
    Client(
        "rudder-browser-beacon", ("rudder",), "RudderLabs JavaScript SDK", SEGMENT, UUID,
        {"beacon": True}, survives=STAYED_OR_LEFT, in_short=STAYED_OR_LEFT, asks_first=True,
    ),
    Client(
        "posthog-browser", ("posthog",), "web", POSTHOG, UUID,
        # Requests under way end with the page; of refusals only 5xx are tried again.
        survives=RETRIED - {"page_left", "429"}, in_short=LEFT,
    ),
    Client(
        "jitsu-browser", ("jitsu",), "@jitsu/js", JITSU, survives=STAYED_OR_LEFT,
        in_short=frozenset({"ok", "refused_key"}), requests=4,
    ),
    Client(
        "pixel", ("pixel",), "", (story.order_now,), in_short=OK, requests=0,
    ),
]  # fmt: skip
if route("/p.js") is not None:
    CLIENTS.append(
        Client(
            "jitsu-script", ("jitsu-script",), "waymark-p.js",
            (lambda run: {"type": "page"}, story.identify, story.order_now),
            in_short=SHORT, requests=3,
        )
    )  # fmt: skip

pytestmark = pytest.mark.usefixtures("node_packages")


@pytest.fixture(scope="module")
def browser(node_packages: None) -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    need(chromium is not None, "install Chromium (Debian: apt-get install chromium)")
    assert chromium is not None
    with Browser(chromium) as running:
        yield running


@pytest.fixture(scope="module")
def use(browser: Browser, platform: Platform) -> Iterator[Use]:
    one_at_a_time = Lock()
    with Shop() as shop:

        def visit(client: Client, run: Run, scenario: str, seen: list[Exchange]) -> End:
            told = quote(json.dumps(run.told()))
            address = f"{shop.url}/{client.command[0]}.html#{told}"

            def all_there() -> bool:
                if client.asks_first and scenario == "refused_key":
                    return any(each.status == HTTPStatus.UNAUTHORIZED for each in seen)
                if scenario not in client.survives:
                    return len(statuses(seen)) >= client.requests
                with one_at_a_time:
                    mine = [e for e in stored(platform) if e["source_id"] == run.source_id]
                return len(mine) >= len(client.events)

            try:
                number = browser.open(address)
            except AssertionError as failed:
                return End(None, str(failed))
            problem = ""
            try:
                until(all_there, within=STORED_WITHIN_S, what="the events of the page")
            except AssertionError as late:
                problem = f"{late}: {seen}"
            complaints = browser.close(number)
            return End(None if problem else 0, problem, complaints)

        yield visit


@pytest.mark.parametrize(("client", "scenario"), matrix(CLIENTS))
def test_each_event_is_stored_once_as_it_was_said(
    client: Client, scenario: str, outcomes: dict[str, Outcome]
) -> None:
    outcome = outcomes[f"{client.name} {scenario}"]
    check(client, scenario, outcome)
    assert outcome.end.code == 0, outcome.end.output
