"""Read records out of CSV, NDJSON and JSON files as a stream, malformed lines included."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from cli.jsonstream import Malformed, json_values
from cli.mapping import Csv

# One record, its newlines included. An event has at most 32 KB, so this is generous.
MAX_RECORD_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_SURROGATE = re.compile("[\udc80-\udcff]")
_BOM = b"\xef\xbb\xbf"

FileFormat = Literal["csv", "ndjson", "json"]


class UnreadableFile(Exception):
    """The file as a whole cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that is not one; it takes the place of the record in the stream."""

    reason: str


# (position, line, record): position is the ordinal of an item in JSON, else equal to the line.
Item = tuple[int, int, dict[str, Any] | BadRecord]


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading bytes, inflating gzip by its content and not by its name."""
    raw = path.open("rb")
    if raw.peek(2)[:2] == _GZIP_MAGIC:
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), _CHUNK_BYTES)
    return raw


def content_digest(path: Path) -> tuple[bytes, int]:
    """SHA-256 of the content and its count of newlines; a file and its .gz give the same."""
    digest, newlines = hashlib.sha256(), 0
    for chunk in _chunks(path):
        digest.update(chunk)
        newlines += chunk.count(b"\n")
    return digest.digest(), newlines


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with open_plain(path) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk
    except (OSError, EOFError) as error:
        raise UnreadableFile(f"{path}: {error or 'the file ends too early'}") from error


def sniff_format(path: Path) -> FileFormat:
    """The format by the file's name, for `.json` by its content: one object per line is NDJSON."""
    suffixes = [s.lower() for s in path.suffixes]
    suffix = next((s for s in reversed(suffixes) if s != ".gz"), "")
    if suffix in (".csv", ".tsv"):
        return "csv"
    if suffix in (".ndjson", ".jsonl"):
        return "ndjson"
    if suffix != ".json":
        raise UnreadableFile(f"{path}: name the format in the mapping (format: csv, ndjson, json)")
    head = next(_chunks(path), b"").removeprefix(_BOM).lstrip()
    first_line = head.split(b"\n", 1)[0]
    try:
        return "ndjson" if isinstance(msgspec.json.decode(first_line), dict) else "json"
    except (msgspec.DecodeError, RecursionError):
        return "json"


def read_records(path: Path, form: FileFormat, how: Csv) -> Iterator[Item]:
    """The file's records in order; empty lines are passed over, broken ones come as BadRecord."""
    if form == "ndjson":
        return _ndjson(path)
    if form == "csv":
        return _csv(path, how)
    return _json(path)


def _lines(path: Path) -> Iterator[bytes | None]:
    """Lines without their ends; None stands for a line longer than MAX_RECORD_BYTES."""
    rest, skipping, first = b"", False, True
    for chunk in _chunks(path):
        if first:
            if chunk[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise UnreadableFile(f"{path}: UTF-16; save it as UTF-8")
            chunk, first = chunk.removeprefix(_BOM), False
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            if skipping or len(line) > MAX_RECORD_BYTES:
                skipping = False
                yield None
            else:
                yield line
        if len(rest) > MAX_RECORD_BYTES:
            rest, skipping = b"", True
    if skipping:
        yield None
    elif rest:
        yield rest


_TOO_LONG = BadRecord(f"longer than {MAX_RECORD_BYTES} bytes")


def _ndjson(path: Path) -> Iterator[Item]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for number, line in enumerate(_lines(path), 1):
        if line is None:
            yield number, number, _TOO_LONG
            continue
        try:
            yield number, number, decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            if line.strip():
                yield number, number, BadRecord(f"not a JSON object: {error}")


def _json(path: Path) -> Iterator[Item]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for ordinal, (line, text) in enumerate(json_values(_chunks(path), MAX_RECORD_BYTES), 1):
        if isinstance(text, Malformed):
            yield ordinal, line, BadRecord(text.reason)
            continue
        try:
            yield ordinal, line, decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            yield ordinal, line, BadRecord(f"not a JSON object: {error}")


class _Rewindable:
    """The text lines of a file, numbered; a record that failed gives its later lines back."""

    def __init__(self, path: Path) -> None:
        self._source = _lines(path)
        self._returned: list[str] = []
        self.taken: list[str] = []
        self.number = 0
        self.damaged = False

    def _text(self, raw: bytes | None) -> str:
        """A surrogate marks what is not UTF-8 or too long, until its record is looked at."""
        if raw is not None:
            try:
                return raw.decode() + "\n"
            except UnicodeDecodeError:
                pass
        self.damaged = True
        return "\udcff\n" if raw is None else raw.decode("utf-8", "surrogateescape") + "\n"

    def __iter__(self) -> _Rewindable:
        return self

    def __next__(self) -> str:
        if self._returned:
            line = self._returned.pop()
        else:
            raw = next(self._source)
            line = self._text(raw)
        self.taken.append(line)
        self.number += 1
        return line

    def accept(self) -> None:
        self.taken.clear()

    def retake_after_first(self) -> None:
        """One open quote must not swallow the lines behind it: only the first line is lost."""
        self._returned.extend(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1
        self.taken.clear()


def _csv(path: Path, how: Csv) -> Iterator[Item]:
    lines = _Rewindable(path)
    rows = csv.reader(lines, delimiter="\t" if _is_tsv(path) else how.delimiter, strict=True)
    columns = how.columns
    while True:
        line = lines.number + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            lines.retake_after_first()
            yield line, line, BadRecord(f"not a CSV line: {error}")
            continue
        if not row:
            lines.accept()
        elif lines.damaged and _SURROGATE.search("".join(row)):
            if columns is None:
                raise UnreadableFile(f"{path}: the first line is not UTF-8")
            lines.accept()
            yield line, line, BadRecord("not UTF-8, or longer than a record may be")
        elif columns is None:
            columns = row
            _check_columns(path, columns)
            lines.accept()
        elif len(row) != len(columns):
            lines.retake_after_first()
            yield line, line, BadRecord(f"{len(row)} columns instead of {len(columns)}")
        else:
            lines.accept()
            yield line, line, dict(zip(columns, row, strict=True))


def _is_tsv(path: Path) -> bool:
    return ".tsv" in (s.lower() for s in path.suffixes)


def _check_columns(path: Path, columns: list[str]) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise UnreadableFile(f"{path}: the first line names twice: {', '.join(twice)}")
