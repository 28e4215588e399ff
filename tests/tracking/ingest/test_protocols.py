"""What the clients of other families say, and what becomes of it."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from services.contracts.events import Event
from services.kit.feeds import unpack
from services.tracking.ingest.accept import accept_batch
from services.tracking.ingest.convert import Origin
from services.tracking.ingest.protocols import cloudevents, jitsu, posthog, rudderstack
from services.tracking.ingest.protocols.call import Adapter
from tests.tracking.ingest.calls import CLOUD, DEVICE, RECEIVED, WORKSPACE, hog, merge, taken
from tests.tracking.service import track


def events(adapter: Adapter, body: Any, **sent: Any) -> list[Event]:
    append, failure = taken(adapter, body, **sent)
    assert (append.quarantined, failure) == ([], None)
    return unpack(append.data, Event) if append.count else []


def one(adapter: Adapter, body: Any, **sent: Any) -> Event:
    (found,) = events(adapter, body, **sent)
    return found


def ids(event: Event) -> tuple[str, str, str, str, str]:
    return event.type, event.user_id, event.anonymous_id, event.previous_id, event.group_id


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        # Servers name people; browsers say whether they know them.
        (hog(), ("track", "u1", "", "", "")),
        (hog(**{"$process_person_profile": False}), ("track", "", "u1", "", "")),
        (hog(**{"$lib": "web"}), ("track", "", "u1", "", "")),
        (hog(**{"$lib": "web", "$user_id": "u1"}), ("track", "u1", "", "", "")),
        (hog(**{"$lib": "web", "$is_identified": True}), ("track", "u1", "", "", "")),
        (hog(**{"$is_identified": False}), ("track", "", "u1", "", "")),
        (hog("Seen", DEVICE, **{"$device_id": DEVICE}), ("track", "", DEVICE, "", "")),
        (
            hog(distinct_id=None) | {"properties": {"distinct_id": "u1"}},
            ("track", "u1", "", "", ""),
        ),
        (
            hog("$identify", **{"$lib": "web", "$anon_distinct_id": "an1"}),
            ("identify", "u1", "an1", "", ""),
        ),
        (hog("$create_alias", distinct_id="u1", alias="an1"), None),
        (hog("$pageview"), ("page", "u1", "", "", "")),
        (hog("$screen", **{"$screen_name": "Home"}), ("screen", "u1", "", "", "")),
        (hog("$groupidentify", **{"$group_key": "g1"}), ("group", "u1", "", "", "g1")),
        (hog("$groupidentify", "$company_g1", **{"$group_key": "g1"}), None),
        (hog(**{"$groups": {"company": "g1"}}), ("track", "u1", "", "", "g1")),
        (hog(**{"$groups": {"company": "g1", "team": "t1"}}), ("track", "u1", "", "", "")),
    ],
)
def test_posthogs_calls_become_segments(
    call: dict[str, Any], expected: tuple[str, ...] | None
) -> None:
    special = {
        "$create_alias": ("alias", "u1", "", "an1", ""),
        "$groupidentify": ("group", "", "$company_g1", "", "g1"),
    }
    assert ids(one(posthog.calls, call)) == (expected or special[call["event"]])


@pytest.mark.parametrize(
    ("distinct", "said", "member"),
    [
        ("$company_g1", {}, False),
        (DEVICE, {"$is_server": True}, False),
        (DEVICE, {"$lib": "web"}, True),
        ("u1", {"$is_server": True}, True),
    ],
)
def test_posthogs_group_calls_of_nobody_put_nobody_into_the_account(
    distinct: str, said: dict[str, Any], member: bool
) -> None:
    event = one(posthog.calls, hog("$groupidentify", distinct, **said, **{"$group_key": "g1"}))
    assert ("account" not in json.loads(event.context)) is member


def test_posthogs_python_client_says_aliases_the_other_way_around() -> None:
    call = hog("$create_alias", "an1", **{"$lib": "posthog-python", "alias": "u1"})
    call["properties"]["distinct_id"] = "an1"
    assert ids(one(posthog.calls, call)) == ("alias", "u1", "", "an1", "")


@pytest.mark.parametrize(
    ("known", "user", "before"),
    [({"$device_id": "x"}, "y", "x"), ({"$user_id": "x"}, "x", "y")],
)
def test_posthogs_browser_client_names_a_visitor_by_the_alias(
    known: dict[str, str], user: str, before: str
) -> None:
    call = hog("$create_alias", "x", **{"$lib": "web", "alias": "y", **known})
    call["properties"]["distinct_id"] = "x"
    assert ids(one(posthog.calls, call)) == ("alias", user, "", before, "")


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("name", ["$set", "$identify", "Seen"])
def test_posthogs_traits_are_found_in_both_places(inside: bool, name: str) -> None:
    learned = {"$set": {"email": "a@b.cd", "n": 2}, "$set_once": {"n": 1, "first": 1}}
    call = hog(name, **(learned if inside else {})) | ({} if inside else learned)
    event = one(posthog.calls, call)
    assert json.loads(event.traits) == {"email": "a@b.cd", "n": 2, "first": 1}
    assert ("email", "a@b.cd") in event.identifiers
    assert event.properties == "{}"


def _bodies(call: dict[str, Any]) -> list[bytes]:
    text = json.dumps(call).encode()
    coded = quote(base64.b64encode(text).decode()).encode()
    batch = b'{"api_key":"k","batch":[%b]}' % text
    return [text, b"[%b]" % text, batch, b"data=" + coded, b"compression=base64&data=" + coded]


def test_posthogs_events_come_in_many_wrappings() -> None:
    found = [one(posthog.calls, body) for body in _bodies(hog(ø="???>>>"))]
    assert [json.loads(event.properties) for event in found] == [{"ø": "???>>>"}] * 5


@pytest.mark.parametrize(
    ("stamp", "occurred"),
    [
        ({"timestamp": "2026-03-01T00:00:00.123456+00:00"}, 1_772_323_200_123),
        ({"offset": 5_000}, RECEIVED - 5_000),
        ({"offset": 5_000, "timestamp": ""}, RECEIVED - 5_000),
        ({"offset": "soon"}, RECEIVED),
        ({"timestamp": {"no": "time"}}, RECEIVED),
        ({}, RECEIVED),
    ],
)
def test_posthogs_times(stamp: dict[str, Any], occurred: int) -> None:
    assert one(posthog.calls, hog() | stamp).occurred_at == occurred


def test_a_fast_browser_clock_is_set_right_by_when_posthogs_client_sent() -> None:
    ahead = RECEIVED + 3_600_000
    call = hog(**{"$raw_user_agent": "Mozilla"}) | {"timestamp": ahead}
    query = one(posthog.calls, call, query={"_": str(ahead)})
    batch = one(posthog.calls, {"batch": [call], "sent_at": ahead})
    odd = one(posthog.calls, call, query={"_": "²"})
    assert [(e.occurred_at, e.time_source) for e in (query, batch, odd)] == [
        (RECEIVED, "skew_shifted"), (RECEIVED, "skew_shifted"), (RECEIVED, "clamped")
    ]  # fmt: skip


def test_a_bad_event_of_another_protocol_does_not_spoil_the_others() -> None:
    body = b'{"batch":[%b,7,{"event":"x"},{"event":"x","distinct_id":"u1","properties":{"a":NaN}}]}'
    append, failure = taken(posthog.calls, body % json.dumps(hog()).encode())
    assert (append.count, failure) == (1, None)
    assert [(each.reason, each.pointer) for each in append.quarantined] == [
        ("invalid", "#/batch/1"),
        ("missing_id", "#/batch/2/userId"),
        ("invalid", "#/batch/3"),
    ]
    assert append.quarantined[1].raw == b'{"event":"x"}'


def test_the_surplus_of_a_batch_is_set_aside() -> None:
    append, _ = taken(posthog.calls, {"batch": [hog()] * 2_501})
    assert (append.count, [each.reason for each in append.quarantined]) == (
        2_500, ["too_many_events"]
    )  # fmt: skip


def test_a_body_of_countless_events_becomes_few_rows() -> None:
    append, _ = taken(posthog.calls, b"[%b7]" % (b"7," * 1_000_000))
    assert append.count == 0
    assert len(append.quarantined) == 2_500 + 400
    surplus = [each for each in append.quarantined if each.reason == "too_many_events"]
    assert (len(surplus), surplus[-1].raw, surplus[-1].pointer) == (400, b"[7]", "#/batch/1000000")


def test_a_large_event_is_set_aside() -> None:
    append, failure = taken(posthog.calls, hog(text="x" * 33_000))
    assert (append.count, append.quarantined[0].reason) == (0, "too_large")
    assert failure is not None


def test_identical_events_without_an_id_stay_different_and_keep_their_ids() -> None:
    legacy = {"event_id": "", "event_type": "seen", "user": {"id": "u1"}, "utc_time": "2026-03-01"}
    first, again = (events(jitsu.calls, [legacy, legacy]) for _ in range(2))
    assert len({event.message_id for event in first}) == 2
    assert [event.message_id for event in first] == [event.message_id for event in again]


def test_legacy_jitsus_flat_events() -> None:
    page = {
        "event_type": "pageview",
        "user": {"anonymous_id": "an1"},
        "url": "https://x/y",
        "doc_path": "/y",
        "page_title": "Y",
        "user_agent": "Mozilla",
        "utm": {"campaign": "spring", "source": "news"},
        "click_id": {"gclid": "G"},
        "colour": "red",
    }
    event = one(jitsu.calls, page)
    assert ids(event) == ("page", "", "an1", "", "")
    shown = {"url": "https://x/y", "path": "/y", "title": "Y"}
    assert json.loads(event.properties) == shown | {"colour": "red"}
    assert json.loads(event.context) == {
        "page": shown,
        "campaign": {"name": "spring", "source": "news"},
        "userAgent": "Mozilla",
        "clickIds": {"gclid": "G"},
    }


def binary(body: bytes, content_type: str | None = None, **attributes: str) -> Event:
    headers = {f"ce-{name}": value for name, value in (CLOUD | attributes).items()}
    if content_type:
        headers["content-type"] = content_type
    return one(cloudevents.calls, body, headers=headers)


def test_the_three_modes_of_cloudevents_mean_the_same() -> None:
    data = {"total": 99.5}
    whole = {**CLOUD, "data": data}
    found = [
        binary(json.dumps(data).encode()),
        one(cloudevents.calls, whole),
        one(cloudevents.calls, [whole]),
    ]
    for event in found:
        assert ids(event) == ("track", "u1", "", "", "")
        assert (event.message_id, event.event) == ("c1", "Order Placed")
        assert (event.occurred_at, event.properties) == (1_772_323_200_000, '{"total":99.5}')
        assert json.loads(event.context) == {
            "cloudevent": {"specversion": "1.0", "source": "https://partner.example/orders"}
        }


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"", None, {}),
        (b"7", None, {"data": 7}),
        (b"hello", None, {"data": "hello"}),
        (b'{"a":1}', "application/vnd.acme+json; charset=utf-8", {"a": 1}),
        (b'{"a":1}', "text/plain", {"data": '{"a":1}'}),
        # What HTTP clients say where their caller named no type.
        (b'{"a":1}', "application/x-www-form-urlencoded", {"a": 1}),
        (b"\xff\xfe", "image/png", {"data_base64": "//4="}),
    ],
)
def test_the_data_of_a_binary_cloudevent(
    body: bytes, content_type: str | None, expected: dict[str, Any]
) -> None:
    assert json.loads(binary(body, content_type).properties) == expected


def test_cloudevents_attributes_in_headers_are_percent_encoded() -> None:
    assert binary(b"", type="Kauf%20%E2%82%AC").event == "Kauf €"


def test_cloudevents_name_people_by_subject_or_by_extension() -> None:
    assert ids(binary(b"", anonymousid="an1", userid="u9", subject="order-7"))[1:3] == ("u9", "an1")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"specversion": "0.3"}, "#/specversion"),
        ({"id": ""}, "#/id"),
        ({"id": 7}, "#/id"),
        ({"source": None}, "#/source"),
        ({"type": ""}, "#/type"),
        ({"subject": ""}, "#/userId"),
    ],
)
def test_a_cloudevent_that_cannot_be_taken_names_the_attribute(
    change: dict[str, Any], pointer: str
) -> None:
    append, failure = taken(cloudevents.calls, CLOUD | change)
    assert failure is not None
    assert (append.count, append.quarantined[0].pointer) == (0, pointer)
    batch, failure = taken(cloudevents.calls, [CLOUD, CLOUD | change])
    assert (batch.count, len(batch.quarantined), failure) == (1, 1, None)


@pytest.mark.parametrize(
    ("call", "expected", "traits"),
    [
        (merge(("user_id", "u1"), ("user_id", "u2")), ("alias", "u1", "", "u2", ""), {}),
        (merge(("user_id", "u1"), ("anonymous_id", "a")), ("identify", "u1", "a", "", ""), {}),
        (
            merge(("user_id", "u1"), ("email", "a@b.cd")),
            ("identify", "u1", "", "", ""),
            {"email": "a@b.cd"},
        ),
        (
            merge(("email", "a@b.cd"), ("mobile", "+4930123456")) | {"anonymousId": "a"},
            ("identify", "", "a", "", ""),
            {"email": "a@b.cd", "phone": "+4930123456"},
        ),
    ],
)
def test_rudderstacks_merge(
    call: dict[str, Any], expected: tuple[str, ...], traits: dict[str, Any]
) -> None:
    event = one(rudderstack.calls, call)
    assert (ids(event), json.loads(event.traits)) == (expected, traits)


@pytest.mark.parametrize(
    "call",
    [
        merge(),
        merge(("user_id", "u1")),
        merge(("user_id", "u1"), ("shoe", 44)),
        merge(("user_id", "u1"), ("email", "")),
        {"mergeProperties": 7},
        {"mergeProperties": [7, 8]},
    ],
)
def test_a_merge_of_anything_else_is_refused(call: dict[str, Any]) -> None:
    append, failure = taken(rudderstack.calls, call)
    assert (append.count, append.quarantined[0].reason) == (0, "invalid")
    assert failure is not None
    assert failure.members["errors"][0]["pointer"].startswith("#/mergeProperties")


def test_the_device_id_of_the_request_stands_in_for_missing_ids_only() -> None:
    sender = Origin(WORKSPACE, "web", RECEIVED, anonymous_id="an1")
    body = {"batch": [track(userId=""), track(), track(userId="", anonymousId="an2")]}
    found = unpack(accept_batch(json.dumps(body).encode(), sender).data, Event)
    assert [(event.user_id, event.anonymous_id) for event in found] == [
        ("", "an1"), ("u1", ""), ("", "an2")
    ]  # fmt: skip
