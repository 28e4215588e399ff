"""What a packed bomb costs: milliseconds until it is refused, and how much the processes grow.

Prints one JSON line. Wanted (S9): at most 100 ms and 10 MB.
"""

import json
import statistics
import time
from pathlib import Path

import httpx2
import pytest

from tests.bench import stack
from tests.bench.stack import Served
from tests.malformed.corpus import bombs

TRIES = 20


def cost(
    client: httpx2.Client, processes: dict[str, Served], path: str, body: bytes
) -> dict[str, object]:
    """Of ``TRIES`` posts of one bomb. Each has warmed up with an honest body of the same size."""
    before = {name: served.rss_bytes for name, served in processes.items()}
    took: list[float] = []
    status = 0
    for _ in range(TRIES):
        started = time.perf_counter()
        status = client.post(path, content=body).status_code
        took.append((time.perf_counter() - started) * 1000)
    grown = {
        f"{name}_grew_mb": round((served.rss_bytes - before[name]) / 1e6, 1)
        for name, served in processes.items()
    }
    return {
        "bytes": len(body),
        "status": status,
        "p50_ms": round(statistics.median(took), 1),
        "max_ms": round(max(took), 1),
        **grown,
    }


def test_bombs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stack.machine()
    with stack.running(tmp_path) as running:
        ingest = running.ingest()
        door, keys = running.door(ingest)
        processes = {"gateway": door, "ingest": ingest}
        honest = b'{"batch":[],"filler":"%b"}' % (b"x" * 5_000_000)
        figures: dict[str, dict[str, object]] = {}
        # With the key in the header only tracking unpacks; with a bearer token the gateway does.
        for place, headers in {
            "header": {"X-Write-Key": keys["write_key"]},
            "body": {"Authorization": f"Bearer {keys['write_key']}"},
        }.items():
            with httpx2.Client(base_url=door.url, headers=headers, timeout=30.0) as client:
                for _ in range(TRIES):
                    assert client.post("/v1/batch", content=honest).status_code == 200
                for name, body in bombs().items():
                    figures[f"{name}, key in {place}"] = cost(client, processes, "/v1/batch", body)
    with capsys.disabled():
        print(json.dumps({"bench": "bombs", "machine": before, **figures}))
