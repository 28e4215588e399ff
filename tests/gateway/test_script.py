"""``/p.js``: how it is served, and what it posts from a page."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.support import Platform
from tests.support.instance import REPOSITORY

pytestmark = pytest.mark.anyio

SCRIPT = REPOSITORY / "gateway" / "clients" / "p.js"
NODE = shutil.which("node")
in_node = pytest.mark.skipif(NODE is None, reason="the script is run by node")


def page(**given: Any) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """(what was posted, the cookies afterwards) of a page that holds the script."""
    harness = Path(__file__).with_name("page.js")
    attributes = {"data-write-key": "wk_1", **given.pop("attributes", {})}
    done = subprocess.run(
        [str(NODE), str(harness), str(SCRIPT), json.dumps({"attributes": attributes, **given})],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["posted"], found["cookies"]


async def test_the_script_is_served_to_any_page(platform: Platform) -> None:
    answer = await platform.client.get("/p.js", headers={"Origin": "https://shop.example"})
    assert (answer.status_code, answer.content) == (200, SCRIPT.read_bytes())
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "no-store" not in answer.headers["cache-control"]


@in_node
def test_a_page_is_told_of_by_itself_and_the_visitor_keeps_an_id() -> None:
    (page_call,), cookies = page()
    assert page_call["url"] == "https://cx.example/api/s/page"
    assert page_call["headers"]["X-Write-Key"] == "wk_1"
    event = page_call["event"]
    assert event["anonymousId"] == cookies["__eventn_id"]
    assert event["properties"]["path"] == "/pricing"
    assert event["context"]["campaign"] == {"source": "mail", "name": "spring"}
    assert "__eventn_try" not in cookies
    (again,), _ = page(cookies={"__eventn_id": "an-1"})
    assert again["event"]["anonymousId"] == "an-1"


@in_node
@pytest.mark.parametrize("refuse", [False, True])
def test_calls_carry_the_person_they_learned_of(refuse: bool) -> None:
    calls = [
        ["identify", "u-1", {"email": "a@example.org"}],
        ["track", "Order Completed", {"total": 9}],
        ["group", "g-1", {"name": "Acme"}],
        ["page", "Basket", {"step": 2}],
    ]
    posted, _ = page(attributes={"data-init-only": "true"}, calls=calls, refuseCookies=refuse)
    events = [one["event"] for one in posted]
    assert [event["type"] for event in events] == ["identify", "track", "group", "page"]
    assert {event["userId"] for event in events} == {"u-1"}
    assert len({event["anonymousId"] for event in events}) == 1
    assert len({event["messageId"] for event in events}) == 4
    assert events[0]["traits"] == {"email": "a@example.org"}
    assert (events[1]["event"], events[1]["properties"]) == ("Order Completed", {"total": 9})
    assert events[1]["context"]["traits"] == {"email": "a@example.org"}
    assert (events[2]["groupId"], events[2]["traits"]) == ("g-1", {"name": "Acme"})
    assert (events[3]["name"], events[3]["properties"]["step"]) == ("Basket", 2)


@in_node
def test_what_was_queued_before_the_script_came_is_sent() -> None:
    posted, _ = page(queue=[["track", "Early"]])
    assert [one["event"].get("event", "page") for one in posted] == ["Early", "page"]


@in_node
def test_a_refused_event_is_sent_again_as_itself_and_a_rejected_one_is_not() -> None:
    posted, _ = page(statuses=[503, 0, 200])
    assert len(posted) == 3
    assert len({one["event"]["messageId"] for one in posted}) == 1
    rejected, _ = page(statuses=[401])
    assert len(rejected) == 1
