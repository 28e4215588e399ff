"""What SDKs write in their bodies, and what becomes of it."""

import json
from typing import Any
from uuid import UUID

import pytest

from services.contracts.events import Event
from services.identifiers import subject_id
from services.kit.feeds import unpack
from services.kit.problems import MalformedBody
from services.tracking.errors import InvalidEvent
from services.tracking.ingest.accept import accept_batch, accept_event
from services.tracking.ingest.convert import Origin
from services.tracking.log.port import Append

WORKSPACE = UUID("0195d3a0-0000-7000-8000-000000000001")
RECEIVED = 1_795_328_235_366


def request(source: str = "web", received: int = RECEIVED, request_id: str = "r1") -> Origin:
    return Origin(WORKSPACE, source, received, request_id=request_id)


def batch(*events: Any, **envelope: Any) -> Append:
    return accept_batch(json.dumps({"batch": events, **envelope}).encode(), request())


def accepted(append: Append) -> list[Event]:
    return unpack(append.data, Event) if append.count else []


def one(event: dict[str, Any], **envelope: Any) -> Event:
    append = batch(event, **envelope)
    assert not append.quarantined, append.quarantined
    (found,) = accepted(append)
    return found


def track(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "u1", "event": "Viewed", **fields}


def test_numbers_are_accepted_as_ids_and_equal_their_text() -> None:
    numbered = [one(track(userId=each, messageId=7)) for each in (12, 12.0, "12")]
    assert {(e.user_id, e.subject_id, e.message_id) for e in numbered} == {
        ("12", str(subject_id(WORKSPACE, "user_id", "12")), "7")
    }


def test_explicit_nulls_and_empty_texts_mean_nothing() -> None:
    event = one(track(userId=None, anonymousId="an1", properties=None, context=None, groupId=""))
    assert (event.user_id, event.anonymous_id, event.group_id) == ("", "an1", "")
    assert event.identifiers == [("anonymous_id", "an1")]
    assert (event.properties, event.context) == ("{}", "{}")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"traits": {"email": "A@B.cd"}}, '{"email":"A@B.cd"}'),
        ({"context": {"traits": {"email": "A@B.cd"}}}, '{"email":"A@B.cd"}'),
        (
            {"traits": {"email": "A@B.cd"}, "context": {"traits": {"email": "x@y.zz", "n": 1}}},
            '{"email":"A@B.cd","n":1}',
        ),
    ],
)
def test_identify_traits_come_from_both_places_their_own_first(
    event: dict[str, Any], expected: str
) -> None:
    found = one({"type": "identify", "userId": "u1", "anonymousId": "an1", **event})
    assert found.traits == expected
    assert found.identifiers == [
        ("user_id", "u1"), ("email", "a@b.cd"), ("anonymous_id", "an1")
    ]  # fmt: skip


def test_what_one_event_makes_of_a_context_changes_nothing_for_the_next() -> None:
    who = {"type": "identify", "userId": "u1", "context": {"traits": {"a": {"b.c": 1}}}}
    one(who | {"traits": {"a.b": {"c": 2}}})
    assert one(who).traits == '{"a":{"b.c":1}}'


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"context": {"groupId": "g1"}}, "g1"),
        ({"context": {"groupId": 12}}, "12"),
        ({"context": {"groupId": "g1"}, "groupId": "g2"}, "g2"),
        ({"context": {"groupId": "x" * 256}}, ""),
        ({"context": {"groupId": {"id": "g1"}}}, ""),
    ],
)
def test_an_event_belongs_to_the_account_its_context_names(
    said: dict[str, Any], expected: str
) -> None:
    assert one(track(**said)).group_id == expected


def test_an_address_in_properties_or_group_traits_identifies_nobody() -> None:
    assert one(track(properties={"email": "a@b.cd"})).identifiers == [("user_id", "u1")]
    group = {"type": "group", "userId": "u1", "groupId": "g1", "traits": {"email": "a@b.cd"}}
    assert one(group).identifiers == [("user_id", "u1")]


def test_context_traits_identify_the_person_of_any_call() -> None:
    event = one(track(context={"traits": {"phone": "+1 415 555 2671"}}))
    assert event.identifiers == [("user_id", "u1"), ("phone", "+14155552671")]


def test_a_batch_context_is_laid_under_each_event_and_nothing_else_is() -> None:
    event = one(
        track(context={"ip": "1.2.3.4"}),
        context={"ip": "0.0.0.0", "locale": "zh-CN"},  # noqa: S104 - an address in test data
        timestamp="2020-01-01T00:00:00Z",
        sentAt="2026-11-22T06:17:15.360Z",
        integrations={"All": True},
        userId="nobody",
    )
    assert json.loads(event.context) == {"ip": "1.2.3.4", "locale": "zh-CN"}
    assert event.user_id == "u1"
    # The batch's timestamp is when it was flushed.
    assert (event.occurred_at, event.time_source) == (RECEIVED, "received")
    assert event.sent_at == 1_795_328_235_360


def test_original_timestamp_is_the_time_where_it_stands_alone() -> None:
    event = one(track(originalTimestamp="2020-01-01T00:00:00.123456+00:00"))
    assert (event.occurred_at, event.time_source) == (1_577_836_800_123, "original")


def test_a_browser_ahead_of_us_is_corrected_and_a_server_is_not() -> None:
    times = {"timestamp": "2026-11-22T07:00:00Z", "sentAt": "2026-11-22T07:17:15Z"}
    browser = one(track(context={"userAgent": "Mozilla"}, **times))
    server = Origin(WORKSPACE, "web", RECEIVED, server_key=True)
    (own,) = accepted(accept_batch(json.dumps({"batch": [track(**times)]}).encode(), server))
    assert (browser.time_source, own.time_source) == ("skew_shifted", "clamped")
    assert browser.occurred_at == 1_795_327_200_000


def test_page_and_screen_have_the_names_of_tracking_plans_and_keep_theirs_as_properties() -> None:
    page = one({"type": "page", "userId": "u1", "name": "Home", "category": "Docs"})
    assert (page.event, json.loads(page.properties)) == (
        "Page Viewed",
        {"name": "Home", "category": "Docs"},
    )
    screen = one({"type": "screen", "userId": "u1", "name": "A", "properties": {"name": "B"}})
    assert (screen.event, json.loads(screen.properties)) == ("Screen Viewed", {"name": "B"})


def test_an_alias_of_an_id_to_itself_joins_nothing() -> None:
    alias = {"type": "alias", "userId": "u1"}
    assert one({**alias, "previousId": "u1"}).previous_id == ""
    assert one({**alias, "previousId": "u1"}).identifiers == [("user_id", "u1")]


def test_an_alias_joins_the_id_the_person_had_before() -> None:
    event = one({"type": "alias", "userId": "u1", "previousId": "an1"})
    assert event.previous_id == "an1"
    assert event.identifiers == [("user_id", "u1"), ("anonymous_id", "an1")]


def test_without_a_message_id_the_same_event_gets_the_same_one_again() -> None:
    at = "2026-11-20T08:00:00Z"
    events = [track(timestamp=at), track(timestamp=at), track(event="Other", originalTimestamp=at)]
    body = json.dumps({"batch": events}).encode()
    first = accepted(accept_batch(body, request()))
    later = request(received=RECEIVED + 60_000, request_id="r2")
    again = accepted(accept_batch(body, later))
    elsewhere = accepted(accept_batch(body, request(source="shop")))
    ids = [event.message_id for event in first]
    assert len(set(ids)) == 3, "identical events of one request are different events"
    assert [event.message_id for event in again] == ids
    assert not {event.message_id for event in elsewhere} & set(ids)


def test_an_event_without_id_and_time_is_a_new_one_in_every_request() -> None:
    body = json.dumps({"batch": [track(), track()]}).encode()
    first, again, resent = (
        [event.message_id for event in accepted(accept_batch(body, request(request_id=name)))]
        for name in ("r1", "r2", "r1")
    )
    assert len({*first, *again}) == 4
    assert resent == first, "the gateway handed the same request on again"


@pytest.mark.parametrize(
    "bad",
    [
        b'{"a":}',
        b'{"type":"track","userId":"u","event":NaN}',
        b'{"type":"track","userId":"u","event":"\\ud800"}',
        b'{"type":"track","userId":"u","event":"\x01"}',
        b'{"type":"track","userId":"u","event":"\xff"}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"type":"track","userId":"u","event":"e","properties":'
        + b'{"a":' * 100_000
        + b"1"
        + b"}" * 100_001,
        b"nonsense",
    ],
)
def test_whatever_one_event_is_its_neighbours_are_accepted(bad: bytes) -> None:
    good = json.dumps(track(messageId="good")).encode()
    body = b'{"sentAt":"2026-11-20T08:00:00Z","batch":[' + good + b"," + bad + b"," + good + b"]}"
    append = accept_batch(body, request())
    assert [event.message_id for event in accepted(append)] == ["good", "good"]
    (refused,) = append.quarantined
    assert refused.pointer.startswith("#/batch/1")
    assert refused.raw == bad


@pytest.mark.parametrize("context", [b'"x"', b"[1]", b'{"a":NaN}', b'{"a":"\\u0000"}'])
def test_a_wrong_context_of_the_batch_costs_no_event(context: bytes) -> None:
    body = b'{"context":' + context + b',"batch":[' + json.dumps(track()).encode() + b"]}"
    append = accept_batch(body, request())
    assert len(accepted(append)) == 1
    (refused,) = append.quarantined
    assert refused.pointer.startswith("#/context")


@pytest.mark.parametrize("none", [None, "", "absent"])
def test_null_and_empty_message_ids_mean_none(none: str | None) -> None:
    event = track() if none == "absent" else track(messageId=none)
    assert one(event).message_id.startswith("waymark-")


def test_long_message_ids_are_kept_whole() -> None:
    long = "node-" + "0" * 32 + "-" + "a" * 36
    assert one(track(messageId=long)).message_id == long


@pytest.mark.parametrize(
    ("event", "reason", "pointer"),
    [
        (track(userId=None), "missing_id", "#/batch/1/userId"),
        (track(userId="null"), "missing_id", "#/batch/1/userId"),
        (track(event=None), "missing_event", "#/batch/1/event"),
        (track(event=""), "missing_event", "#/batch/1/event"),
        (track(event="x" * 501), "invalid", "#/batch/1/event"),
        (track(type="purchase"), "unknown_type", "#/batch/1/type"),
        (track(type=None), "unknown_type", "#/batch/1/type"),
        (track(type=3), "invalid", "#/batch/1/type"),
        (track(userId={"id": 1}), "invalid", "#/batch/1/userId"),
        (track(userId=True), "invalid", "#/batch/1/userId"),
        (track(userId="x" * 256), "invalid", "#/batch/1/userId"),
        (track(userId="x\x00"), "nul", "#/batch/1/userId"),
        (track(event="x\x00"), "nul", "#/batch/1/event"),
        (track(messageId="x\x00"), "nul", "#/batch/1/messageId"),
        (track(properties=[1]), "invalid", "#/batch/1/properties"),
        (track(properties={"a": {"b": "\x00"}}), "nul", "#/batch/1/properties/a/b"),
        (track(context="x"), "invalid", "#/batch/1/context"),
        (track(context={"a": "\x00"}), "nul", "#/batch/1/context/a"),
        (track(properties=dict.fromkeys(map(str, range(513)))), "too_many_keys",
         "#/batch/1/properties"),
        (track(properties={"x": "y" * 33_000}), "too_large", "#/batch/1"),
        ({"type": "group", "userId": "u1"}, "missing_id", "#/batch/1/groupId"),
        ({"type": "alias", "userId": "u1"}, "missing_id", "#/batch/1/previousId"),
        ("an event", "invalid", "#/batch/1"),
        (None, "invalid", "#/batch/1"),
        ([], "invalid", "#/batch/1"),
        ({}, "unknown_type", "#/batch/1/type"),
    ],
)  # fmt: skip
def test_a_bad_event_is_set_aside_with_its_reason_and_its_neighbours_live(
    event: Any, reason: str, pointer: str
) -> None:
    append = batch(track(messageId="before"), event, track(messageId="after"))
    assert [e.message_id for e in accepted(append)] == ["before", "after"]
    (refused,) = append.quarantined
    assert (refused.reason, refused.pointer) == (reason, pointer)
    assert json.loads(refused.raw) == event


def test_a_number_out_of_range_is_found_in_its_field() -> None:
    raw = b'{"batch":[{"type":"track","event":"x","userId":"u1","properties":{"n":1e999}}]}'
    (refused,) = accept_batch(raw, request()).quarantined
    assert refused.pointer == "#/batch/0/properties"


@pytest.mark.parametrize(
    "poison",
    [
        b'{"type":"track","userId":"u1","event":"x","properties":{"n":NaN}}',
        b'{"type":"track","userId":"u1","event":"x","properties":{"n":-Infinity}}',
        b'{"type":"track","userId":"u1","event":"x","properties":{"s":"\\ud800"}}',
        b'{"type":"track","userId":"u1","event":"x","properties":{"n":1e999}}',
        b'{"type":"track","userId":"u1","event":"x","properties":{"s":"\xff\xfe"}}',
        b'{"type":"track","userId":"u1","event":"x","properties":' + b'{"a":' * 900 + b"1"
        + b"}" * 901,
    ],
)  # fmt: skip
def test_an_event_that_is_no_json_of_its_own_costs_no_neighbour(poison: bytes) -> None:
    good = json.dumps(track(messageId="good")).encode()
    append = accept_batch(b'{"batch":[' + poison + b"," + good + b"]}", request())
    assert [e.message_id for e in accepted(append)] == ["good"]
    assert [q.pointer.startswith("#/batch/0") for q in append.quarantined] == [True]


def test_events_beyond_the_limit_of_a_batch_are_set_aside() -> None:
    events = [track(messageId=str(i)) for i in range(5_002)]
    append = batch(*events)
    assert append.count == 2_500
    assert [(q.reason, q.pointer) for q in append.quarantined] == [
        ("too_many_events", "#/batch/2500"),
        ("too_many_events", "#/batch/5000"),
    ]
    assert [json.loads(q.raw) for q in append.quarantined] == [events[2_500:5_000], events[5_000:]]


@pytest.mark.parametrize("first", [b'{"a":NaN}', b"{}"])
def test_a_body_of_very_many_tiny_events_becomes_few_rows(first: bytes) -> None:
    good = json.dumps(track(messageId="good")).encode()
    tiny = b",".join([b"1"] * 1_000_000)
    append = accept_batch(b'{"batch":[' + first + b"," + good + b"," + tiny + b"]}", request())
    assert [e.message_id for e in accepted(append)] == ["good"]
    assert len(append.quarantined) == 2_499 + 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"batch":[NaN]}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"batch":[{"type":"track","userId":"u1","event":"x","properties":{"a":'
        + b"[" * 100_000 + b"]" * 100_000 + b"}}]}",
        b'{"batch":[{"type":"track","userId":"u1","event":"x","properties":{"n":NaN}}]}',
        b"\xff\xfe{\x00}\x00",
        b'{"batch":["\\ud800"]}',
    ],
)  # fmt: skip
def test_a_body_that_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises((MalformedBody, InvalidEvent)):
        accept_batch(body, request())


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"[]", "#"),
        (b"{}", "#"),
        (b'{"batch":{}}', "#/batch"),
        (b'{"batch":null}', "#/batch"),
    ],
)
def test_a_body_that_is_no_batch_names_the_field(body: bytes, pointer: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        accept_batch(body, request())
    assert refused.value.members["errors"][0]["pointer"] == pointer


def test_a_single_call_takes_its_type_from_the_path() -> None:
    append, failure = accept_event(json.dumps(track(type="identify")).encode(), "track", request())
    assert failure is None
    assert accepted(append)[0].type == "track"


def test_a_bad_single_call_is_kept_and_refused() -> None:
    append, failure = accept_event(json.dumps(track(userId={})).encode(), "track", request())
    assert (append.count, [q.pointer for q in append.quarantined]) == (0, ["#/userId"])
    assert failure is not None
    assert failure.members["errors"][0]["pointer"] == "#/userId"
