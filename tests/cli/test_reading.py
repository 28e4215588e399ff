"""Records out of files: every broken line is one BadRecord and costs no neighbour."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.jsonstream import Malformed, json_values
from cli.mapping import Csv
from cli.reading import BadRecord, FileFormat, content_digest, read_records, sniff_format


def read(path: Path, form: FileFormat, how: Csv | None = None) -> list[tuple[int, Any]]:
    items = read_records(path, form, how or Csv())
    return [(line, "bad" if isinstance(r, BadRecord) else r) for _, line, r in items]


@pytest.mark.parametrize("name", ["f.csv", "f.csv.gz"])
def test_csv_records_carry_the_line_they_start_on(tmp_path: Path, name: str) -> None:
    text = '\ufeffa,b\r\n1,"x\r\ny"\r\n\r\n2,"say ""hi"", ok"\r\n'
    data = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert read(tmp_path / name, "csv") == [
        (2, {"a": "1", "b": "x\r\ny"}),
        (5, {"a": "2", "b": 'say "hi", ok'}),
    ]


def test_a_wrong_width_or_an_open_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b'a,b\n1,2\n3\n4,5,6\n7,"open\n8,9\n\xff,1\n"x"y,1\n10,11')
    assert read(path, "csv") == [
        (2, {"a": "1", "b": "2"}),
        (3, "bad"),
        (4, "bad"),
        (5, "bad"),
        (6, {"a": "8", "b": "9"}),
        (7, "bad"),
        (8, "bad"),
        (9, {"a": "10", "b": "11"}),
    ]


def test_a_stray_quote_that_meets_another_does_not_swallow_the_lines_between(
    tmp_path: Path,
) -> None:
    path = tmp_path / "f.csv"
    rows = ["a,b", '1,"x', *(f"{n},y" for n in range(50)), '2,"z"', "3,w"]
    path.write_text("\n".join(rows))
    records = read(path, "csv")
    assert [line for line, record in records if record == "bad"] == [2]
    assert len(records) == 53


def test_tabs_delimiters_and_given_column_names(tmp_path: Path) -> None:
    (tmp_path / "f.tsv").write_text("a\tb\n1\t2\n")
    (tmp_path / "g.csv").write_text("1;2\n")
    assert read(tmp_path / "f.tsv", "csv") == [(2, {"a": "1", "b": "2"})]
    how = Csv(delimiter=";", columns=["p", "q"])
    assert read(tmp_path / "g.csv", "csv", how) == [(1, {"p": "1", "q": "2"})]


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")),
                         min_size=2, max_size=2)))  # fmt: skip
def test_whatever_a_csv_writer_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["a", "b"], *rows])
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    path.write_bytes(text.getvalue().encode())
    assert [list(r.values()) for _, r in read(path, "csv")] == rows


def test_a_line_longer_than_a_record_may_be_is_one_bad_record(tmp_path: Path) -> None:
    path = tmp_path / "f.ndjson"
    path.write_bytes(b'{"a":1}\n{"b":"' + b"x" * 2_500_000 + b'"}\n{"c":2}\n' + b"y" * 1_500_000)
    assert read(path, "ndjson") == [(1, {"a": 1}), (2, "bad"), (3, {"c": 2}), (4, "bad")]
    path = path.rename(tmp_path / "f.csv")
    path.write_bytes(b"a,b\n1,2\n" + b"x" * 2_500_000 + b"\n3,4\n")
    assert [record for _, record in read(path, "csv")] == [
        {"a": "1", "b": "2"},
        "bad",
        {"a": "3", "b": "4"},
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"a":1},{"a":2}]', [(1, {"a": 1}), (1, {"a": 2})]),
        ('\ufeff [\n {"a":\n1}\n,\n{"a":2}\n]\n', [(2, {"a": 1}), (5, {"a": 2})]),
        ('{"a":1}{"a":2}\n{"a":{"b":[1]}}', [(1, {"a": 1}), (1, {"a": 2}), (2, {"a": {"b": [1]}})]),
        ('[{"a":"}]\\"{"}, 7, "s", null, {"a":}, {"b":1}]',
         [(1, {"a": '}]"{'}), (1, "bad"), (1, "bad"), (1, "bad"), (1, "bad"), (1, {"b": 1})]),
        ('[\n{"a":1},\n{"b": {"c": 1},\n{"d":2},\n{"e":3}\n]',
         [(2, {"a": 1}), (3, "bad"), (4, {"d": 2}), (5, {"e": 3})]),
        ('[\n{"a":"open},\n{"d":2}\n]', [(2, "bad"), (3, {"d": 2})]),
        ("", []),
        ("[]", []),
        (" \n ", []),
    ],
)  # fmt: skip
def test_json_arrays_and_sequences_are_cut_into_their_items(
    tmp_path: Path, text: str, expected: list[Any]
) -> None:
    path = tmp_path / "f.json"
    path.write_text(text)
    assert read(path, "json") == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(
    st.lists(st.dictionaries(st.text(), _JSON, max_size=3)),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_cutting_does_not_depend_on_where_the_chunks_end(
    values: list[dict[str, Any]], size: int, array: bool, indent: int | None
) -> None:
    texts = [json.dumps(value, indent=indent) for value in values]
    data = ("[" + ",\n".join(texts) + "]" if array else "\n".join(texts)).encode()
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    cut = [text for _, text in json_values(chunks, 10_000)]
    assert [None if isinstance(text, Malformed) else json.loads(text) for text in cut] == values


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_cutting_finds_the_next_object_in_a_later_chunk(size: int) -> None:
    data = b'[\n{"b": {"c": 1],' + b" " * 50 + b'\n  "x": 1},\n  {"d": 2},\n{"e": 3}\n]'
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    found = [(line, text) for line, text in json_values(chunks, 10_000)]
    assert found[0] == (2, Malformed("a JSON value that never ends, or too long"))
    assert found[1:] == [(4, b'{"d": 2}'), (5, b'{"e": 3}')]


def test_an_endless_value_does_not_fill_the_memory() -> None:
    endless = b'[{"a": "' + b"x" * 5000
    chunks = [endless, b"y" * 5000, b'\n{"b": 1}\n', b"]"]
    values = [text for _, text in json_values(chunks, 4000)]
    assert isinstance(values[0], Malformed)
    assert values[-1] == b'{"b": 1}'


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("a.json", '{"a": 1}\n{"a": 2}\n', "ndjson"),
        ("a.json.gz", '{"a": 1}\n', "ndjson"),
        ("a.json", '[{"a": 1}]', "json"),
        ("a.json", '{"a":\n1}', "json"),
        ("a.json", '{"a": 1}{"a": 2}\n', "json"),
        ("a.jsonl", "", "ndjson"),
        ("a.csv.gz", "", "csv"),
    ],
)
def test_the_format_is_seen_in_the_name_or_the_content(
    tmp_path: Path, name: str, text: str, form: str
) -> None:
    data = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert sniff_format(tmp_path / name) == form


def test_the_digest_is_that_of_the_content_and_not_of_the_packing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x\ny\n")
    (tmp_path / "b").write_bytes(gzip.compress(b"x\ny\n"))
    assert content_digest(tmp_path / "a") == content_digest(tmp_path / "b")
    assert content_digest(tmp_path / "a")[1] == 2
