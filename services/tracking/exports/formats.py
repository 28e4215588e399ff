"""Blocks of events → the bytes of a file, a piece at a time. No I/O.

An encoder is fed blocks of one schema and gives out what of the file is complete; it never holds
more than one row group.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

Format = Literal["parquet", "arrow", "csv", "ndjson"]

ROW_GROUP_ROWS = 65_536
ROW_GROUP_BYTES = 16 * 1024 * 1024
"""A row group is closed at either: small ones would make the footer grow, large ones the memory."""

JSON_COLUMNS = frozenset({"properties", "traits", "context"})
"""Texts that are JSON objects; in NDJSON they are objects."""

# What spreadsheets take for the start of a formula, some in full width too. The apostrophe is among
# them so that the escape can be undone: one leading apostrophe is ours.
_LIVE = r"^[=+\-@\t\r\n\x00'\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
_ISO = "%Y-%m-%dT%H:%M:%SZ"
_json = msgspec.json.Encoder().encode


class Encoder(Protocol):
    def block(self, block: pa.RecordBatch) -> bytes:
        """What the file grows by; may be nothing yet."""

    def end(self) -> bytes:
        """The rest of the file. Nothing may follow."""


class _Sink:
    """A file that only grows, and whose contents are taken away."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        data, self._pieces = b"".join(self._pieces), []
        return data


class Parquet:
    """Row groups of up to ``ROW_GROUP_ROWS`` rows or about ``ROW_GROUP_BYTES``, zstd."""

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd")
        self._held: list[pa.RecordBatch] = []

    def block(self, block: pa.RecordBatch) -> bytes:
        self._held.append(block)
        rows = sum(held.num_rows for held in self._held)
        if rows >= ROW_GROUP_ROWS or sum(held.nbytes for held in self._held) >= ROW_GROUP_BYTES:
            self._write()
        return self._sink.take()

    def end(self) -> bytes:
        self._write()
        self._writer.close()
        return self._sink.take()

    def _write(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held))
            self._held = []


class ArrowStream:
    def __init__(self, schema: pa.Schema) -> None:
        self._sink = _Sink()
        self._writer = pa.ipc.new_stream(self._sink, schema)

    def block(self, block: pa.RecordBatch) -> bytes:
        self._writer.write_batch(block)
        return self._sink.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.take()


class Csv:
    """RFC 4180 with a header; times as ISO 8601; no cell can be a live formula."""

    def __init__(self, schema: pa.Schema) -> None:
        shown = pa.schema([(field.name, pa.string()) for field in schema])
        self._sink = _Sink()
        self._writer = pa_csv.CSVWriter(self._sink, shown)
        self._schema = shown

    def block(self, block: pa.RecordBatch) -> bytes:
        columns = [_cells(column) for column in block.columns]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))
        return self._sink.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.take()


class Ndjson:
    """A JSON object per line; ``JSON_COLUMNS`` as objects, times as ISO 8601."""

    def __init__(self, schema: pa.Schema) -> None:
        self._names = schema.names

    def block(self, block: pa.RecordBatch) -> bytes:
        columns = [
            [msgspec.Raw(text.encode()) for text in column.to_pylist()]
            if name in JSON_COLUMNS
            else _texts(column).to_pylist()
            for name, column in zip(self._names, block.columns, strict=True)
        ]
        names = self._names
        lines = [_json(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]
        return b"\n".join([*lines, b""])

    def end(self) -> bytes:
        return b""


ENCODERS: dict[Format, Callable[[pa.Schema], Encoder]] = {
    "parquet": Parquet,
    "arrow": ArrowStream,
    "csv": Csv,
    "ndjson": Ndjson,
}
MEDIA_TYPES: dict[Format, str] = {
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
}


def _texts(column: pa.Array) -> pa.Array:
    return pc.strftime(column, format=_ISO) if pa.types.is_timestamp(column.type) else column


def _cells(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        return _texts(column)
    live = pc.match_substring_regex(column, _LIVE)
    return pc.if_else(live, pc.binary_join_element_wise("'", column, ""), column)
