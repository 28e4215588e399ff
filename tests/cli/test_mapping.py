"""The mapping file: what it says becomes the event, and what is wrong with it is named."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.compile import compile_mapping
from cli.lookups import load_lookups
from cli.mapping import Mapping, MappingError, load_mapping
from cli.values import Rejected

TRACK: dict[str, Any] = {"type": "track", "user": {"userId": "u"}, "event": {"constant": "E"}}
IDENTIFY: dict[str, Any] = {"type": "identify", "user": {"userId": "u"}}


def load(folder: Path, mapping: Any) -> Mapping:
    (folder / "map.yaml").write_text(yaml.safe_dump(mapping))
    return load_mapping(folder / "map.yaml")


def event(folder: Path, mapping: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    parsed = load(folder, mapping)
    tables = load_lookups(parsed, folder / "map.yaml", folder / "data" / "in.csv")
    found: dict[str, Any] = json.loads(compile_mapping(parsed, tables, b"digest")(1, record))
    return found


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (TRACK | {"kind": 1}, "kind: Extra inputs"),
        (TRACK | {"type": "page"}, "type: Input should be"),
        ({"type": "track", "event": {"constant": "E"}}, "user: Field required"),
        (TRACK | {"user": {}}, "user: Value error, userId or anonymousId is needed"),
        (TRACK | {"user": {"userId": {}}}, "user.userId: Value error, exactly one of column"),
        (TRACK | {"event": {"column": "a", "constant": "b"}}, "event: Value error, exactly one"),
        (TRACK | {"time": {"column": "t", "format": "offset"}}, "time: Value error, unit and"),
        (TRACK | {"time": {"column": "t", "format": "offset", "unit": "weeks"}}, "time.unit:"),
        (TRACK | {"time": {"constant": "noon"}}, "time.constant:"),
        (TRACK | {"traits": {"a": "b"}}, "traits belong to the type identify"),
        (IDENTIFY | {"lookups": [{"file": "f", "key": "k", "match": "m", "add": {}}]},
         "lookups belong to the type track"),
        (IDENTIFY | {"traits": {"age": {"column": "age", "type": "int"}}}, "traits.age.type:"),
        (IDENTIFY | {"traits": {"age": {"column": "age", "format": "%Y"}}},
         "traits.age: Value error, format belongs"),
        (IDENTIFY | {"event": {"constant": "E"}}, "event is needed for the type track, and only"),
        ([1], "(file)"),
        (None, "(file)"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_refused_and_the_key_is_named(
    tmp_path: Path, mapping: Any, said: str
) -> None:
    with pytest.raises(MappingError) as caught:
        load(tmp_path, mapping)
    assert said in str(caught.value)
    assert "map.yaml" in str(caught.value)


def test_broken_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("type: track\nuser: [")
    with pytest.raises(MappingError, match="line 2"):
        load_mapping(tmp_path / "map.yaml")


@pytest.mark.parametrize(
    ("time", "found", "expected"),
    [
        ({}, "2026-05-06T07:08:09+02:00", "2026-05-06T05:08:09.000Z"),
        ({}, "2026-05-06 07:08:09.123456", "2026-05-06T07:08:09.123456Z"),
        ({"format": "epoch_s"}, "1500000000.5", "2017-07-14T02:40:00.500Z"),
        ({"format": "epoch_ms"}, 1500000000123, "2017-07-14T02:40:00.123Z"),
        ({"format": "offset", "unit": "hours", "origin": "2018-01-01T00:00:00Z"}, 714,
         "2018-01-30T18:00:00.000Z"),
        ({"format": "offset", "unit": "days", "origin": "2018-01-01T00:00:00+01:00"}, "0.5",
         "2018-01-01T11:00:00.000Z"),
    ],
)  # fmt: skip
def test_times_are_read(tmp_path: Path, time: dict[str, Any], found: Any, expected: str) -> None:
    mapping = TRACK | {"time": {"column": "t"} | time}
    assert event(tmp_path, mapping, {"u": "1", "t": found})["timestamp"] == expected


@pytest.mark.parametrize("found", [None, "", "x", True, [], {}, 1e300, "nan", "inf", "1_0"])
def test_an_unreadable_time_is_a_reject(tmp_path: Path, found: Any) -> None:
    for form in ("iso", "epoch_s"):
        mapping = TRACK | {"time": {"column": "t", "format": form}}
        with pytest.raises(Rejected, match=r"^time: t "):
            event(tmp_path, mapping, {"u": "1", "t": found})


def test_a_boolean_is_not_the_second_that_equals_it(tmp_path: Path) -> None:
    time = {"column": "t", "format": "epoch_s"}
    to_event = compile_mapping(load(tmp_path, TRACK | {"time": time}), [], b"digest")
    assert b"1970-01-01T00:00:01.000Z" in to_event(1, {"u": "1", "t": 1})
    with pytest.raises(Rejected):
        to_event(2, {"u": "1", "t": True})


@pytest.mark.parametrize(
    ("rule", "found", "expected"),
    [
        ({"type": "number"}, "12", 12),
        ({"type": "number"}, "1.5e3", 1500.0),
        ({"type": "number"}, 7, 7),
        ({"type": "integer"}, "12.0", 12),
        ({"type": "string"}, 5, "5"),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, 0, False),
        ({"type": "date", "format": "%Y%m%d"}, "20170212", "2017-02-12"),
        ({"type": "date", "format": "%Y%m%d"}, 20170212, "2017-02-12"),
        ({"type": "datetime"}, "2017-02-12T01:02:03Z", "2017-02-12T01:02:03.000Z"),
        ({"type": "integer", "missing": [118]}, 118, None),
        ({"type": "integer", "missing": [118]}, "118", None),
        ({}, None, None),
        ({}, "", None),
        ({}, {"a": [1]}, {"a": [1]}),
    ],
)
def test_traits_are_typed_and_missing_ones_left_out(
    tmp_path: Path, rule: dict[str, Any], found: Any, expected: Any
) -> None:
    mapping = IDENTIFY | {"traits": {"x": {"column": "c"} | rule}}
    traits = event(tmp_path, mapping, {"u": "1", "c": found})["traits"]
    assert traits == ({} if expected is None else {"x": expected})


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"type": "number"}, "abc"),
        ({"type": "number"}, "nan"),
        ({"type": "number"}, True),
        ({"type": "integer"}, "1.5"),
        ({"type": "string"}, ["a"]),
        ({"type": "boolean"}, "maybe"),
        ({"type": "date", "format": "%Y%m%d"}, "2017021"),
        ({"type": "date", "format": "%Y%m%d"}, "20171340"),
        ({"type": "date"}, "soon"),
    ],
)
def test_a_value_of_another_type_is_a_reject_naming_the_key(
    tmp_path: Path, rule: dict[str, Any], found: Any
) -> None:
    mapping = IDENTIFY | {"traits": {"x": {"column": "c"} | rule}}
    with pytest.raises(Rejected, match=r"^traits\.x: "):
        event(tmp_path, mapping, {"u": "1", "c": found})


def test_templates_constants_coalesced_columns_and_consent(tmp_path: Path) -> None:
    mapping = IDENTIFY | {
        "traits": {
            "email": {"template": "{u}@example.invalid"},
            "greeting": {"template": "Dear {name}!"},
            "origin": {"constant": "file"},
            "phone": ["mobile", "home.phone"],
        },
        "consent": {"marketing": True, "news": {"column": "news"}, "sms": "sms"},
    }
    record = {"u": 7, "mobile": "", "home": {"phone": "123"}, "news": "no", "sms": ""}
    found = event(tmp_path, mapping, record)
    assert found["userId"] == "7"
    assert found["traits"] == {
        "email": "7@example.invalid",
        "origin": "file",
        "phone": "123",
    }
    preferences = found["context"]["consent"]["categoryPreferences"]
    assert preferences == {"marketing": True, "news": False}


def test_a_user_is_a_text_or_a_whole_number(tmp_path: Path) -> None:
    both = TRACK | {"user": {"userId": "u", "anonymousId": "a"}}
    assert event(tmp_path, both, {"u": " ", "a": "x"})["anonymousId"] == "x"
    assert "userId" not in event(tmp_path, both, {"u": None, "a": "x"})
    for wrong in (1.5, True, {"id": 1}):
        with pytest.raises(Rejected, match=r"user\.userId"):
            event(tmp_path, both, {"u": wrong})
    with pytest.raises(Rejected, match="no userId and no anonymousId"):
        event(tmp_path, both, {})


def test_event_names_are_renamed_and_can_be_closed(tmp_path: Path) -> None:
    names = {"column": "e", "rename": {"offer received": "Offer Received"}}
    mapping = TRACK | {"event": names}
    assert event(tmp_path, mapping, {"u": "1", "e": "offer received"})["event"] == "Offer Received"
    assert event(tmp_path, mapping, {"u": "1", "e": "other"})["event"] == "other"
    with pytest.raises(Rejected, match=r"not listed in event\.rename"):
        event(tmp_path, TRACK | {"event": names | {"unlisted": "reject"}}, {"u": "1", "e": "other"})


def test_remaining_properties_leave_out_what_was_used_and_excluded(tmp_path: Path) -> None:
    mapping = TRACK | {
        "time": {"column": "t"},
        "properties": {
            "remaining": True,
            "exclude": ["secret"],
            "rename": {"Amount": "amount"},
            "values": {"offer_id": ["offer id", "offer_id"]},
        },
    }
    record = {"u": "1", "t": "2026-01-01", "Amount": 5, "secret": 1, "none": None, "offer_id": "o"}
    assert event(tmp_path, mapping, record)["properties"] == {"amount": 5, "offer_id": "o"}


def test_properties_are_read_out_of_an_object(tmp_path: Path) -> None:
    mapping = TRACK | {
        "properties": {
            "source": "value",
            "remaining": True,
            "values": {"offer_id": ["value.offer id", "value.offer_id"]},
        }
    }
    for value in ({"offer id": "o", "reward": 5}, {"offer_id": "o", "reward": 5}):
        found = event(tmp_path, mapping, {"u": "1", "more": 1, "value": value})
        assert found["properties"] == {"offer_id": "o", "reward": 5}
    assert event(tmp_path, mapping, {"u": "1", "value": "text"})["properties"] == {}


def test_lookups_add_properties_from_beside_the_mapping_or_the_input(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "offers.csv").write_text("id,kind\n1,bogo\n")
    (tmp_path / "data" / "shops.json").write_text('[{"no": 5, "at": {"city": "Oslo"}}]')
    lookups = [
        {"file": "offers.csv", "key": "id", "match": "offer", "add": {"offer_kind": "kind"}},
        {"file": "shops.json", "key": "no", "match": "shop", "add": {"city": "at.city"}},
    ]
    mapping = TRACK | {"properties": {"remaining": True}, "lookups": lookups}
    found = event(tmp_path, mapping, {"u": "1", "offer": 1, "shop": 5})
    assert found["properties"] == {"offer": 1, "shop": 5, "offer_kind": "bogo", "city": "Oslo"}
    assert event(tmp_path, mapping, {"u": "1", "offer": 9})["properties"] == {"offer": 9}
    lookups[0]["required"] = True  # type: ignore[assignment]
    with pytest.raises(Rejected, match=r"lookup offers\.csv: nothing for offer 9"):
        event(tmp_path, mapping, {"u": "1", "offer": 9})


@pytest.mark.parametrize(
    ("text", "said"),
    [("id,kind\n1\n", "line 2"), ("no,kind\n1,a\n", "no id"), (None, "neither beside")],
)
def test_an_unusable_lookup_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "offers.csv").write_text(text)
    lookups = [{"file": "offers.csv", "key": "id", "match": "offer", "add": {"kind": "kind"}}]
    with pytest.raises(MappingError, match=said):
        event(tmp_path, TRACK | {"lookups": lookups}, {"u": "1"})


def test_the_message_id_depends_on_content_position_and_scope_only(tmp_path: Path) -> None:
    one, scoped = load(tmp_path, TRACK), load(tmp_path, TRACK | {"id_scope": "s"})
    ids = {
        json.loads(compile_mapping(mapping, [], digest)(position, {"u": "1"}))["messageId"]
        for mapping in (one, scoped, one)
        for digest in (b"a", b"b")
        for position in (1, 2)
    }
    assert len(ids) == 8


def test_the_shipped_examples_map_the_lines_they_quote() -> None:
    made = {}
    for path in sorted(Path("docs/examples").glob("import-*.yaml")):
        lines = [line.lstrip("# ") for line in path.read_text().splitlines() if line[:2] == "# "]
        (record,) = csv.DictReader(lines[1:])
        made[lines[0]] = json.loads(compile_mapping(load_mapping(path), [], b"digest")(1, record))
    assert made["customers.csv"]["traits"]["joined"] == "2026-01-14"
    assert made["customers.csv"]["context"]["consent"]["categoryPreferences"] == {"marketing": True}
    assert made["orders.csv"]["event"] == "Order Completed"
    assert made["orders.csv"]["properties"] == {"sku": "A-1", "total": 99.5}
