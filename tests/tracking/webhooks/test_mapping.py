"""What mappings make of partners' JSON, and what they say where they cannot."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.tracking.ingest.refused import Refused
from services.tracking.webhooks.calls import Mapped, mapped
from services.tracking.webhooks.mapping import Delivery, NotMapped
from services.tracking.webhooks.mapping_model import PAYMENTS, SHOP, MappingDocument
from services.tracking.webhooks.values import resolve

USER = {"user_id": {"constant": "u1"}, "event": {"constant": "E"}}


def run(mapping: dict[str, Any], body: Any, **headers: str) -> Mapped:
    document = MappingDocument.model_validate(mapping)
    return mapped(document, json.dumps(body).encode(), Delivery(headers))


def call(rule: dict[str, Any], item: Any, **headers: str) -> dict[str, Any]:
    (found,) = run({"rules": [USER | rule]}, item, **headers).calls.calls
    if isinstance(found.said, Refused):
        raise found.said
    return found.said


def refusal(rule: dict[str, Any], item: Any) -> tuple[str, str, str]:
    with pytest.raises(NotMapped) as raised:
        call(rule, item)
    return raised.value.line, raised.value.pointer, raised.value.reason


def test_a_shops_order_becomes_a_track_and_its_customer_an_identify() -> None:
    order = {
        "id": 8209829119461,
        "created_at": "2026-11-25T08:30:00+08:00",
        "total_price": "409.94",
        "currency": "CNY",
        "email": "mei@example.org",
        "customer": {"id": 1153106273147},
    }
    headers = {"x-shopify-topic": "orders/create", "x-shopify-webhook-id": "w1"}
    (placed,) = run(SHOP, order, **headers).calls.calls
    assert placed.said == {
        "type": "track",
        "event": "Order Placed",
        "userId": "1153106273147",
        "messageId": "w1",
        "timestamp": "2026-11-25T00:30:00.000+00:00",
        "channel": "server",
        "properties": {"order_id": "8209829119461", "total": 409.94, "currency": "CNY"},
        "traits": {"email": "mei@example.org"},
        "context": {"library": {"name": "webhook"}, "traits": {"email": "mei@example.org"}},
    }
    customer = {"id": 7, "email": "b@example.org", "updated_at": "2026-11-25T08:30:00Z"}
    topic = {"x-shopify-topic": "customers/update"}
    (known,) = run(SHOP, customer, **topic).calls.calls
    assert not isinstance(known.said, Refused)
    assert (known.said["type"], known.said["userId"]) == ("identify", "7")
    other = run(SHOP, customer, **{"x-shopify-topic": "products/update"})
    assert (other.calls.calls, other.skipped) == ([], 1)


def test_a_payment_providers_event_is_named_by_a_table() -> None:
    event = {
        "id": "evt_1",
        "type": "invoice.paid",
        "created": 1795595400,
        "data": {"object": {"customer": "cus_1", "amount_paid": 40994}},
    }
    (paid,) = run(PAYMENTS, event).calls.calls
    assert not isinstance(paid.said, Refused)
    assert (paid.said["event"], paid.said["messageId"]) == ("Invoice Paid", "evt_1")
    assert paid.said["timestamp"] == "2026-11-25T08:30:00.000+00:00"
    assert paid.said["properties"] == {"customer": "cus_1", "amount_paid": 40994}
    assert run(PAYMENTS, event | {"type": "charge.updated"}).skipped == 1


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("12.50", "number", 12.5),
        (" 7 ", "number", 7),
        ("-1e3", "number", -1000.0),
        (7, "number", 7),
        (7, "string", "7"),
        (7.0, "string", "7"),
        (7.5, "string", "7.5"),
        (True, "string", "true"),
        ("yes", "string", "yes"),
        ("TRUE", "boolean", True),
        (0, "boolean", False),
        (False, "boolean", False),
        (None, "number", None),
    ],
)
def test_values_are_converted(value: Any, kind: str, expected: Any) -> None:
    said = call({"properties": {"fields": {"v": {"pointer": "/v", "as": kind}}}}, {"v": value})
    found = said.get("properties", {}).get("v")
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("many", "number"), ("1e999", "number"), ("٣", "number"), ("9" * 5000, "number"),
        ("0x10", "number"), ("", "number"), (True, "number"), ({}, "string"), ([1], "string"),
        ("perhaps", "boolean"), (2, "boolean"), ({}, "boolean"),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_is_named(value: Any, kind: str) -> None:
    rule = {"properties": {"fields": {"a/b": {"pointer": "/v", "as": kind}}}}
    assert refusal(rule, {"v": value}) == ("#/rules/0/properties/fields/a~1b", "/v", "not_mapped")


@pytest.mark.parametrize(
    ("rule", "item", "expected"),
    [
        ({"event": {"pointer": "/e"}}, {}, ("#/rules/0/event", "/e", "missing_event")),
        ({"event": None}, {}, ("#/rules/0/event", "", "missing_event")),
        ({"user_id": {"pointer": "/u"}}, {}, ("#/rules/0/user_id", "/u", "missing_id")),
        (
            {"user_id": None, "anonymous_id": {"pointer": "/a"}},
            {"a": ""},
            ("#/rules/0/anonymous_id", "/a", "missing_id"),
        ),
        ({"user_id": {"header": "X-User"}}, {}, ("#/rules/0/user_id", "", "missing_id")),
        ({"user_id": {"pointer": "/u"}}, {"u": {}}, ("#/rules/0/user_id", "/u", "not_mapped")),
        ({"user_id": {"pointer": "/u"}}, {"u": True}, ("#/rules/0/user_id", "/u", "not_mapped")),
        ({"type": "group"}, {}, ("#/rules/0/group_id", "", "missing_id")),
        ({"type": "alias"}, {}, ("#/rules/0/previous_id", "", "missing_id")),
        (
            {"properties": {"pointer": "/p"}},
            {"p": [1]},
            ("#/rules/0/properties/pointer", "/p", "not_mapped"),
        ),
    ],
)
def test_the_line_of_the_mapping_and_the_place_in_the_item_are_named(
    rule: dict[str, Any], item: Any, expected: tuple[str, str, str]
) -> None:
    assert refusal(rule, item) == expected


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("iso", "2026-11-25", "2026-11-25T00:00:00.000+00:00"),
        ("epoch_seconds", 1795595400.5, "2026-11-25T08:30:00.500+00:00"),
        ("epoch_seconds", "1795595400", "2026-11-25T08:30:00.000+00:00"),
        # Taken for seconds if their size decided.
        ("epoch_milliseconds", 1_000, "1970-01-01T00:00:01.000+00:00"),
        ("epoch_milliseconds", None, None),
        ("iso", "", None),
    ],
)
def test_times_are_read_as_the_mapping_says(form: str, value: Any, expected: str | None) -> None:
    rule = {"timestamp": {"value": {"pointer": "/at"}, "format": form}}
    assert call(rule, {"at": value}).get("timestamp") == expected


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("iso", "soon"), ("iso", 1795595400), ("epoch_seconds", "soon"), ("epoch_seconds", 1e300),
        ("epoch_seconds", -1), ("epoch_milliseconds", 1e18), ("epoch_seconds", True),
    ],
)  # fmt: skip
def test_what_is_no_time_is_named(form: str, value: Any) -> None:
    rule = {"timestamp": {"value": {"pointer": "/at"}, "format": form}}
    assert refusal(rule, {"at": value}) == ("#/rules/0/timestamp/value", "/at", "not_mapped")


def test_conditions_compare_kinds_as_well() -> None:
    rule = {"when": [{"value": {"pointer": "/k"}, "in": [1, "a", None]}]}
    wanted = [{"k": 1}, {"k": "a"}, {"k": None}, {}]
    unwanted = [{"k": True}, {"k": "1"}, {"k": {}}, {"k": "A"}]
    found = run({"each": "", "rules": [USER | rule]}, wanted + unwanted)
    assert [c.position for c in found.calls.calls] == [0, 1, 2, 3]
    assert found.skipped == 4


def test_a_delivery_id_is_one_for_each_item() -> None:
    document = MappingDocument.model_validate({"each": "/l", "rules": [USER]})
    found = mapped(document, b'{"l":[1,2]}', Delivery(id="msg_1"))
    said = [c.said for c in found.calls.calls if not isinstance(c.said, Refused)]
    assert [one["messageId"] for one in said] == ["msg_1/0", "msg_1/1"]


@pytest.mark.parametrize("item", [{"a": "x" * 20_000}, {"a": [["y" * 99] * 200]}])
@pytest.mark.parametrize("part", ["properties", "traits"])
def test_fields_that_take_the_same_large_value_again_and_again_are_refused(
    part: str, item: Any
) -> None:
    fields = {name: {"pointer": "/a"} for name in ("one", "two")}
    found = refusal({part: {"fields": fields}}, item)
    assert found == (f"#/rules/0/{part}/fields/two", "/a", "too_large")


def test_pointers_have_32_levels_at_most() -> None:
    MappingDocument.model_validate({"rules": [USER | {"name": {"pointer": "/a" * 32}}]})
    with pytest.raises(ValidationError, match="pointer"):
        MappingDocument.model_validate({"rules": [USER | {"name": {"pointer": "/a" * 33}}]})


def test_pointers_are_those_of_rfc_6901() -> None:
    document = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "m~n": 8, " ": 7, "é": None}
    found = {p: resolve(document, p) for p in ("/foo/0", "/", "/a~1b", "/c%d", "/m~0n", "/ ")}
    assert found == {"/foo/0": "bar", "/": 0, "/a~1b": 1, "/c%d": 2, "/m~0n": 8, "/ ": 7}
    assert resolve(document, "") == document
    missing = ("/foo/2", "/foo/-", "/foo/²", "/foo/01x", "/foo/0/x", "/x/y", "/foo/" + "9" * 500)
    assert {resolve(document, pointer) for pointer in missing} == {None}


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "b", "1"]), inner),
)
_value = st.sampled_from(
    [
        {"pointer": "/a"}, {"pointer": "/a/b", "as": "string"}, {"pointer": ""},
        {"pointer": "/b/1", "as": "number"}, {"header": "X-A", "as": "boolean"}, {"constant": 1},
        {"pointer": "/a", "table": {"a": "b"}, "otherwise": "skip"},
        {"pointer": "/b", "table": {}, "otherwise": {"constant": 0.5}},
    ]
)  # fmt: skip
_stamp = st.builds(
    lambda form: {"value": {"pointer": "/a"}, "format": form},
    st.sampled_from(["iso", "epoch_seconds", "epoch_milliseconds"]),
)
_rule = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "identify", "page", "group", "alias"])},
    optional={
        **dict.fromkeys(("event", "user_id", "message_id", "group_id", "previous_id"), _value),
        "timestamp": _stamp,
        "properties": st.just({"pointer": "/a", "fields": {"x": {"pointer": "/b"}}}),
    },
)


@given(_rule, _json, st.sampled_from([None, "", "/a", "/b/1"]))
def test_whatever_the_rule_and_the_item_it_is_a_call_a_skip_or_a_reason(
    rule: dict[str, Any], body: Any, each: str | None
) -> None:
    found = run({"each": each, "rules": [rule]}, body)
    for one in found.calls.calls:
        assert isinstance(one.said, dict | Refused)
