"""The id store knows exactly what it was told, across merges, restarts, kills and torn files."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from uuid import uuid4

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tracking.sequencer import ids as module
from services.tracking.sequencer import segment
from services.tracking.sequencer.ids import KEEP_WEEKS, AnotherOwner, SeenIds, key, mergeable
from services.tracking.sequencer.manifest import Covered, Listed

pytestmark = pytest.mark.anyio

DAY_MS = 24 * 3600 * 1000
START_MS = 1_795_328_000_000


def keys(start: int, stop: int) -> list[bytes]:
    return [key(uuid4(), "web", f"m{number}") for number in range(start, stop)]


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.keys")]


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_KEYS", 10)
    monkeypatch.setattr(segment, "MERGE_KEYS", 16)


# Few different halves, so that keys share the first or the second.
HALVES = (b"\x00" * 8, b"\xff" * 8, b"abcdefgh", b"\x00" * 7 + b"\x01", b"\x01" + b"\x00" * 7)
POOL = [one + other for one in HALVES for other in HALVES] + keys(0, 100)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(POOL), min_size=1), min_size=1), st.integers(0, 2**32))
def test_what_was_covered_by_a_flush_is_known_for_ever_and_nothing_else(
    blocks: list[list[bytes]], seed: int
) -> None:
    random = Random(seed)  # noqa: S311 - a test's own

    async def tell() -> None:
        with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "FLUSH_KEYS", 10)
            patch.setattr(segment, "MERGE_KEYS", 16)
            ids, told = SeenIds(Path(folder)), 0
            while told < len(blocks):
                known = {each for block in blocks[:told] for each in block}
                assert ids.unknown(blocks[told]) == set(blocks[told]) - known
                told += 1
                at_ms = START_MS + told * random.choice([0, 8 * DAY_MS // 12])
                await ids.remember("p", Covered(told, at_ms), blocks[told - 1])
                if random.random() < 0.3:
                    ids.close()
                    ids = SeenIds(Path(folder))
                    # What was in memory only comes from the log again.
                    assert ids.covered("p").offset <= told
                    told = ids.covered("p").offset
            ids.close()

    anyio.run(tell)


async def test_many_flushes_leave_few_files(tmp_path: Path, small_files: None) -> None:
    ids, told = SeenIds(tmp_path), keys(0, 2000)
    for number in range(200):
        part = told[number * 10 : number * 10 + 10]
        await ids.remember("p", Covered(number + 1, START_MS), part)
    assert len(files(tmp_path)) < 3 * module.FAN_IN
    assert ids.size == len(told)
    assert ids.unknown(told) == set()
    # The week is over: what is left of it becomes one file.
    await ids.remember("p", Covered(201, START_MS + 7 * DAY_MS), keys(0, 10))
    assert len(files(tmp_path)) == 2
    assert ids.unknown(told) == set()
    ids.close()


async def test_ids_are_kept_for_more_than_30_days_and_then_forgotten(tmp_path: Path) -> None:
    ids, one = SeenIds(tmp_path), keys(0, 1)
    known_after = {}
    for days in (0, 29, 30.9, 7 * (KEEP_WEEKS + 2)):
        at_ms = START_MS + int(days * DAY_MS)
        await ids.remember("p", Covered(int(days) + 1, at_ms), one if days == 0 else keys(1, 3))
        await ids.flush()
        known_after[days] = ids.unknown(one) == set()
    ids.close()
    assert list(known_after.values()) == [True, True, True, False]


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "manifest cut", "manifest changed"])
async def test_a_damaged_store_starts_empty(tmp_path: Path, damage: str) -> None:
    ids = SeenIds(tmp_path)
    await ids.remember("p", Covered(1, START_MS), keys(0, 100))
    await ids.flush()
    ids.close()
    name = "manifest.json" if "manifest" in damage else "00000001.keys"
    path = tmp_path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-5] if "cut" in damage else content)
    ids = SeenIds(tmp_path)
    assert (ids.size, ids.covered("p").offset, files(tmp_path)) == (0, 0, [])
    ids.close()


async def test_a_full_disk_forgets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, told = SeenIds(tmp_path), keys(0, 100)
    await ids.remember("p", Covered(1, START_MS), told)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(segment, "write", full)
        with pytest.raises(OSError, match="No space"):
            await ids.flush()
    assert (ids.unknown(told), ids.kept("p")) == (set(), 0)
    await ids.flush()
    assert (ids.unknown(told), ids.kept("p")) == (set(), 1)
    ids.close()


async def test_files_have_one_owner(tmp_path: Path) -> None:
    ids = SeenIds(tmp_path)
    with pytest.raises(AnotherOwner):
        SeenIds(tmp_path)
    ids.close()
    SeenIds(tmp_path).close()


_WRITER = """
import asyncio, sys
from pathlib import Path
from services.tracking.sequencer import ids as module
from services.tracking.sequencer import segment
from services.tracking.sequencer.manifest import Covered
module.FLUSH_KEYS = 200
async def main():
    ids = module.SeenIds(Path(sys.argv[1]))
    offset = ids.covered("p").offset
    while True:
        offset += 1
        block = [(offset * 50 + n).to_bytes(16, "little") for n in range(50)]
        await ids.remember("p", Covered(offset, 1_795_328_000_000), block)
        print(offset, flush=True)
asyncio.run(main())
"""


def test_after_a_kill_the_files_agree_with_what_they_say_they_cover(tmp_path: Path) -> None:
    covered = 0
    for kill in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        for _ in range(40 + 7 * kill):
            reached = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        ids = SeenIds(tmp_path)
        assert covered <= ids.covered("p").offset
        covered = ids.covered("p").offset
        assert covered >= reached - 4
        held = [(n + 50).to_bytes(16, "little") for n in range(covered * 50)]
        assert ids.unknown(held) == set()
        assert ids.size == len(held)
        ids.close()


def test_only_files_of_one_week_and_a_size_are_merged() -> None:
    running = [Listed(str(n), 9, 100) for n in range(module.FAN_IN)]
    assert mergeable(running, 9) == running
    assert mergeable(running[1:], 9) == []
    assert mergeable([*running[1:], Listed("large", 9, 10_000)], 9) == []
    assert mergeable([*running[1:], Listed("old", 8, 100)], 9) == []
    assert mergeable(running[:2], 10) == running[:2]
    too_large = [Listed(str(n), 8, module.MAX_MERGED_KEYS // 2 + 1) for n in range(3)]
    assert mergeable(too_large, 9) == []


async def test_a_copy_of_an_older_state_is_as_good_as_a_kill(tmp_path: Path) -> None:
    folder, copy = tmp_path / "ids", tmp_path / "copy"
    ids = SeenIds(folder)
    await ids.remember("p", Covered(1, START_MS), keys(0, 10))
    await ids.flush()
    shutil.copytree(folder, copy)
    await ids.remember("p", Covered(2, START_MS), keys(0, 10))
    await ids.flush()
    ids.close()
    older = SeenIds(copy)
    assert (older.covered("p").offset, older.size) == (1, 10)
    older.close()
