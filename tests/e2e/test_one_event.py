"""One event of a partner's SDK travels through every service: message, funnel, map, profile."""

import re
from uuid import uuid4

import httpx2
from segment import analytics

from tests.support.platform import Mailbox, Platform, identify, track
from tests.support.waiting import until

WINDOW = {"since": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}


def test_from_the_sdk_to_message_funnel_map_and_segment(
    platform: Platform, mailbox: Mailbox
) -> None:
    user, event, bought = f"u-{uuid4()}", f"Cart Left {uuid4()}", f"Bought {uuid4()}"
    segment_id = platform.post(
        "/segments",
        {
            "name": "Left a cart",
            "rule": {
                "combinator": "and",
                "rules": [
                    {"event": event, "window": {"last_days": 30}},
                    {"field": "traits.plan", "operator": "=", "value": "pro"},
                ],
            },
        },
    )["id"]
    platform.email_journey(mailbox, event)

    client = analytics.Client(
        platform.write_key, host=platform.url, sync_mode=True, on_error=_fail, debug=True
    )
    client.identify(
        user,
        {"email": f"{user}@example.com", "plan": "pro", "first_name": "Ada"},
        context={"consent": {"categoryPreferences": {"marketing": True}}},
    )
    client.track(user, event, {"subject": "come back", "amount": 12.5})
    client.track(user, bought, {})

    until(lambda: mailbox.subjects, within=20, what="the message in the mailbox")
    assert mailbox.subjects == ["come back"]
    assert b"Hello Ada." in mailbox.messages[0]

    platform.await_count(event, 1)
    platform.await_count(bought, 1)
    steps = [{"any_of": [{"event": event}]}, {"any_of": [{"event": bought}]}]
    funnel = platform.post("/analytics/funnel", {**WINDOW, "steps": steps})
    assert [step["people"] for step in funnel["steps"]] == [1, 1]

    profile = platform.profile(user)
    assert profile is not None
    assert profile["traits"]["plan"] == "pro"
    members = until(
        lambda: platform.get(f"/segments/{segment_id}/members")["items"],
        within=20,
        what="the person in the segment",
    )
    assert len(members) == 1

    timeline = platform.get(f"/profiles/{profile['id']}/events")["items"]
    assert [e["event"] for e in timeline if e["type"] == "track"].count(event) == 1
    until(
        lambda: any(
            e["event"] == "Message Sent"
            for e in platform.get(f"/profiles/{profile['id']}/events")["items"]
        ),
        within=20,
        what="the outcome in the timeline",
    )

    drawn = platform.post("/maps", {"template_id": "lifecycle5"})
    for touchpoint, name in (("co_t1", event), ("pu_t3", bought)):
        platform.put(
            f"/maps/{drawn['id']}/touchpoints/{touchpoint}/signal", {"signal": {"event": name}}
        )
    overlay = platform.get(f"/maps/{drawn['id']}/overlay", **WINDOW)
    numbers = {t["touchpoint_id"]: t for t in overlay["touchpoints"]}
    assert (numbers["co_t1"]["count"], numbers["co_t1"]["people"]) == (1, 1)
    assert numbers["co_t2"]["grade"] == "assumed"
    stages = {s["stage_id"]: s for s in overlay["stages"]}
    assert (stages["purchase"]["people"], stages["purchase"]["conversion"]) == (1, 1.0)
    picture = platform.call("GET", f"/maps/{drawn['id']}/picture.svg", params=WINDOW)
    assert picture.headers["content-type"].startswith("image/svg+xml")


def _fail(error: Exception, items: object) -> None:
    raise AssertionError(f"the SDK could not deliver {items}: {error}")


def test_an_anonymous_visitor_becomes_the_known_person_with_all_that_was_done_before(
    platform: Platform,
) -> None:
    user, visitor, event = f"u-{uuid4()}", f"a-{uuid4()}", f"Looked {uuid4()}"
    anonymous = {"type": "track", "anonymousId": visitor, "event": event}
    platform.batch(anonymous, anonymous)
    platform.batch({"type": "identify", "anonymousId": visitor, "userId": user, "traits": {}})
    platform.batch(track(user, event))
    platform.await_count(event, 3)
    until(lambda: platform.profile(user), within=20, what="the profile")
    profile = platform.profile(user)
    assert profile is not None

    def people() -> float:
        query = {**WINDOW, "interval": "total", "series": [{"event": event, "measure": "people"}]}
        return float(platform.post("/analytics/trends", query)["points"][0]["value"])

    until(lambda: people() == 1, within=20, what="one person in the analytics")
    timeline = platform.get(f"/profiles/{profile['id']}/events")["items"]
    assert [e["event"] for e in timeline].count(event) == 3


def test_a_retried_batch_counts_once_and_mails_once(platform: Platform, mailbox: Mailbox) -> None:
    user, event = f"u-{uuid4()}", f"Again {uuid4()}"
    platform.email_journey(mailbox, event)
    events = [identify(user, email=f"{user}@example.com"), track(user, event, subject="once")]
    for _ in range(3):
        platform.batch(*events)
    platform.batch(track(user, "Behind", subject="x"))
    until(lambda: mailbox.subjects, within=20, what="the message")
    platform.await_count(event, 1)
    assert mailbox.subjects == ["once"]


def test_without_consent_the_message_is_skipped_and_says_why(
    platform: Platform, mailbox: Mailbox
) -> None:
    user, event = f"u-{uuid4()}", f"No consent {uuid4()}"
    platform.email_journey(mailbox, event)
    platform.batch(
        identify(user, consent=False, email=f"{user}@example.com"),
        track(user, event, subject="never"),
    )

    def skipped() -> bool:
        profile = platform.profile(user)
        if profile is None:
            return False
        items = platform.get("/messages", profile_id=profile["id"])["items"]
        return [m["state"] for m in items] == ["skipped"]

    until(skipped, within=20, what="the skipped message")
    assert mailbox.subjects == []


def test_one_click_in_a_mail_ends_the_mails_at_once_and_for_good(
    platform: Platform, mailbox: Mailbox
) -> None:
    """Though the client goes on telling the preferences it knows with every event."""
    user, event = f"u-{uuid4()}", f"Unsubscribed {uuid4()}"
    journey_id = platform.email_journey(mailbox, event)
    platform.batch(identify(user, email=f"{user}@example.com"), track(user, event, subject="one"))
    until(lambda: mailbox.messages, within=20, what="the message in the mailbox")
    link = re.search(rb"^List-Unsubscribe: <(\S+)>\r?$", mailbox.messages[0], re.MULTILINE)
    assert link is not None
    with httpx2.Client(trust_env=False) as nobody:
        shown = nobody.get(link[1].decode()).raise_for_status().json()
        assert (shown["purpose"], shown["state"]) == ("marketing", "granted")
        done = nobody.post(link[1].decode(), data={"List-Unsubscribe": "One-Click"})
    assert done.raise_for_status().json() == {"status": "unsubscribed"}
    platform.batch(identify(user, email=f"{user}@example.com"), track(user, event, subject="two"))
    until(lambda: len(platform.settled(journey_id)) == 2, within=20, what="the second message")
    assert mailbox.subjects == ["one"]
    assert sorted(platform.settled(journey_id)) == ["accepted", "skipped"]
    profile = platform.profile(user)
    assert profile is not None
    ledger = platform.get(f"/profiles/{profile['id']}/consents")["items"]
    assert [(line["channel"], line["actor"]) for line in ledger] == [("email", "link"), ("*", None)]
