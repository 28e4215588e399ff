"""Runs ``compute.py`` in a process of its own and talks with it through its pipes."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

import services

MODULE = "services.profile.predictions.compute"
_ROOT = Path(services.__path__[0]).parent
_ENVIRONMENT = {"PATH": os.defpath, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""No setting and no secret of the service; one thread, as the others belong to the service."""
_LONGEST_LINE = 1 << 24


class ProcessEnded(Exception):
    """The process ended before it had answered: killed, out of memory or by an error of ours."""


class Computation:
    """Write ``job`` and then every table's Arrow stream, read ``answer``, then ``batches``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def write(self, piece: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(piece)
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise ProcessEnded from error

    async def start(self, job: dict[str, Any]) -> None:
        await self.write(json.dumps(job).encode() + b"\n")

    async def answer(self) -> dict[str, Any]:
        """``{"metrics", "people"}``, or ``{"reason"}`` where there is not enough data."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise ProcessEnded
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def batches(self) -> AsyncIterator[pa.Table]:
        """Results, some thousand people at a time."""
        assert self._process.stdout is not None
        while True:
            try:
                size = await self._process.stdout.readexactly(8)
                content = await self._process.stdout.readexactly(int.from_bytes(size, "big"))
            except asyncio.IncompleteReadError as error:
                if error.partial or await self._process.wait() != 0:
                    raise ProcessEnded from error
                return
            with pa.ipc.open_stream(content) as reader:
                yield reader.read_all()


@asynccontextmanager
async def computing() -> AsyncIterator[Computation]:
    """A process that waits for a job; it does not outlive the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=_ROOT,
        env=_ENVIRONMENT,
        limit=_LONGEST_LINE,
    )
    assert process.stdin is not None
    try:
        yield Computation(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process.stdin.close()
        with suppress(ConnectionError):
            await process.stdin.wait_closed()
