"""The process that computes: a job and tables on its input, results on its output, then its end.

Run by ``process.py`` and never imported by the service: scikit-learn and what it takes for a
million people stay out of the service's memory. Input: a line of JSON, the job, then as many Arrow
streams as it says. Output: a line of JSON, ``{"metrics", "people"}``, or ``{"reason"}`` where there
is not enough data; then Arrow streams of results, each behind its length in 8 bytes. Whoever
started it and died has closed both: reading fails and so does writing.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from services.profile.predictions.frame import NotEnoughData, Purchases, Result

ROWS = 5_000
"""Of one result stream: what is written to PostgreSQL at once."""
_NICENESS = 5

Compute = Callable[[dict[str, Any], list[pa.Table]], Result]


def _clv(job: dict[str, Any], tables: list[pa.Table]) -> Result:
    from services.profile.predictions import clv

    before, now = map(Purchases.of, tables)
    return clv.predict(now, before, job["as_of_day"], job["definition"]["horizon_days"])


def _rfm(job: dict[str, Any], tables: list[pa.Table]) -> Result:
    from services.profile.predictions import rfm

    return rfm.score(Purchases.of(tables[0]), job["as_of_day"])


def _propensity(job: dict[str, Any], tables: list[pa.Table]) -> Result:
    from services.profile.predictions import propensity

    horizon = job["definition"]["horizon_days"]
    past = [
        propensity.known(
            Purchases.of(tables[2 * i]), tables[2 * i + 1], job["as_of_day"] - (2 - i) * horizon
        )
        for i in range(3)
    ]
    return propensity.predict(job["definition"]["kind"], past)


def _send_time(_: dict[str, Any], tables: list[pa.Table]) -> Result:
    from services.profile.predictions import preferences

    return preferences.send_time(*tables)


def _channel(_: dict[str, Any], tables: list[pa.Table]) -> Result:
    from services.profile.predictions import preferences

    return preferences.channel(tables[0])


def _clustering(job: dict[str, Any], tables: list[pa.Table]) -> Result:
    from services.profile.predictions import propose

    definition = job["definition"]
    people, *rest = tables
    purchases = rest.pop(0) if definition["behaviour"] else None
    hours = rest.pop(0) if definition["preferences"] else None
    return propose.propose(people, purchases, hours, definition, job["as_of_day"])


COMPUTE: dict[str, Compute] = {
    "clv": _clv,
    "rfm": _rfm,
    "purchase": _propensity,
    "churn": _propensity,
    "send_time": _send_time,
    "channel_preference": _channel,
    "clustering": _clustering,
}


def main(source: BinaryIO, sink: BinaryIO) -> None:
    job = json.loads(source.readline())
    tables = [_read(source) for _ in range(job["tables"])]
    try:
        result = COMPUTE[job["definition"]["kind"]](job, tables)
    except NotEnoughData as error:
        sink.write(json.dumps({"reason": str(error)}).encode() + b"\n")
        return
    answer = {"metrics": result.metrics, "people": len(result.ids)}
    sink.write(json.dumps(answer).encode() + b"\n")
    table = pa.table(
        {"profile_id": result.ids, **{k: _array(v) for k, v in result.columns.items()}}
    )
    for batch in table.to_batches(max_chunksize=ROWS):
        packed = pa.BufferOutputStream()
        with pa.ipc.new_stream(packed, batch.schema) as writer:
            writer.write_batch(batch)
        content = packed.getvalue()
        sink.write(content.size.to_bytes(8, "big"))
        sink.write(content)


def _read(source: BinaryIO) -> pa.Table:
    with pa.ipc.open_stream(source) as reader:
        return reader.read_all()


def _array(values: Any) -> pa.Array:
    """NaN is nothing, as None is."""
    if isinstance(values, pa.Array):
        return values
    array = np.asarray(values)
    if array.dtype.kind in "OU":
        return pa.array(array.tolist(), pa.string())
    return pa.array(array, from_pandas=True)


if __name__ == "__main__":
    # The log, rules and lookups of the service go first.
    os.nice(_NICENESS)
    main(sys.stdin.buffer, sys.stdout.buffer)
