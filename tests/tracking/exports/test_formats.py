"""Encoders: what goes in comes out again, and little is held in between."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from services.tracking.exports import formats
from services.tracking.exports.formats import ENCODERS, JSON_COLUMNS, Format
from services.tracking.exports.store import SCHEMA

START = datetime(2026, 3, 1, tzinfo=UTC)
LIVE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\x00x",
    "\r=1",
    "\n=1",
    "\uff1d1+1",
    "'=x",
    "'plain",
    'a "b", c',
    "多\nline",
]


def _block(rows: int, user: str = "u") -> pa.RecordBatch:
    def column(field: pa.Field) -> pa.Array:
        if pa.types.is_timestamp(field.type):
            times = [START + timedelta(milliseconds=i * 1001) for i in range(rows)]
            return pa.array(times, field.type)
        if field.name in JSON_COLUMNS:
            return pa.array([f'{{"{field.name}":{i}}}' for i in range(rows)])
        return pa.array([f"{field.name}-{user}-{i}" for i in range(rows)])

    return pa.record_batch([column(field) for field in SCHEMA], schema=SCHEMA)


def _encoded(kind: Format, *blocks: pa.RecordBatch) -> bytes:
    encoder = ENCODERS[kind](SCHEMA)
    return b"".join([encoder.block(block) for block in blocks]) + encoder.end()


def _unescaped(cell: str) -> str:
    return cell.removeprefix("'")


def _read(kind: Format, data: bytes) -> list[dict[str, Any]]:
    """Rows as the file's usual reader gives them, times and JSON as Python values."""
    if kind == "ndjson":
        rows = [json.loads(line) for line in data.splitlines()]
        return [
            {k: datetime.fromisoformat(v) if k.endswith("_at") else v for k, v in row.items()}
            for row in rows
        ]
    if kind == "csv":
        parse = pa_csv.ParseOptions(newlines_in_values=True)
        types = pa_csv.ConvertOptions(column_types={name: pa.string() for name in SCHEMA.names})
        table = pa_csv.read_csv(io.BytesIO(data), parse_options=parse, convert_options=types)
        rows = [{k: _unescaped(v) for k, v in row.items()} for row in table.to_pylist()]
    else:
        source = pa.BufferReader(data)
        table = (
            pq.read_table(source) if kind == "parquet" else pa.ipc.open_stream(source).read_all()
        )
        rows = table.to_pylist()
    return [{k: _value(k, v) for k, v in row.items()} for row in rows]


def _value(name: str, value: Any) -> Any:
    if name.endswith("_at") and isinstance(value, str):
        return datetime.fromisoformat(value)
    return json.loads(value) if name in JSON_COLUMNS else value


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_format_reads_back_equal(kind: Format) -> None:
    odd = _block(len(LIVE)).set_column(SCHEMA.names.index("event"), "event", pa.array(LIVE))
    odd = pa.record_batch(odd.columns, schema=SCHEMA)
    blocks = [_block(3, "a"), odd, _block(2, "c")]
    expected = [
        {k: _value(k, v) for k, v in row.items()}
        for row in pa.Table.from_batches(blocks).to_pylist()
    ]
    assert _read(kind, _encoded(kind, *blocks)) == expected


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
def test_a_file_without_events_has_its_columns(kind: Format) -> None:
    data = _encoded(kind)
    if kind == "csv":
        assert data.decode().strip().replace('"', "").split(",") == SCHEMA.names
    elif kind == "parquet":
        assert pq.read_table(pa.BufferReader(data)).schema.names == SCHEMA.names
    else:
        assert pa.ipc.open_stream(data).read_all().schema == SCHEMA


def test_no_cell_of_a_csv_file_is_a_live_formula() -> None:
    block = _block(len(LIVE)).set_column(SCHEMA.names.index("user_id"), "user_id", pa.array(LIVE))
    data = _encoded("csv", pa.record_batch(block.columns, schema=SCHEMA))
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    cells = pa_csv.read_csv(io.BytesIO(data), parse_options=parse)["user_id"].to_pylist()
    assert [cell for cell in cells if cell[0] in "=+-@\t\r\n\x00\uff1d"] == []


def test_parquet_holds_one_row_group_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "ROW_GROUP_ROWS", 40)
    encoder = ENCODERS["parquet"](SCHEMA)
    pieces = [encoder.block(_block(10, str(i))) for i in range(20)]
    assert [i for i, piece in enumerate(pieces) if len(piece) > 4] == [3, 7, 11, 15, 19]
    file = pq.ParquetFile(pa.BufferReader(b"".join(pieces) + encoder.end()))
    assert [file.metadata.row_group(i).num_rows for i in range(5)] == [40] * 5
    assert file.metadata.num_row_groups == 5
