"""Which message ids were seen before: a store of sorted files beside the log.

A key is 16 bytes, the hash of (workspace, source, message id). New keys wait in memory; from time
to time they are written as one file, and a manifest tells which files count and up to which offset
of each partition they know the log. Everything behind that offset, after a kill or the loss of the
files all of it, comes from the log (``Sequencer``), so nothing here has to be durable by itself.
"""

import asyncio
import fcntl
import hashlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import structlog

from services.tracking.sequencer import segment
from services.tracking.sequencer.manifest import Covered, Listed, Manifest, TornManifest
from services.tracking.sequencer.segment import Segment, TornSegment, sorted_keys

log = structlog.get_logger(__name__)

KEEP_WEEKS = 6
"""Ids of the running week and six before it: always more than 30 days."""
WEEK_SECONDS = 7 * 24 * 3600
FLUSH_KEYS = 250_000
"""So many keys in memory become a file; after a kill at most so many are read from the log."""
FLUSH_SECONDS = 3600.0
"""Nor do few keys keep the log from being trimmed for longer."""
FAN_IN = 8
_SIZE_BITS = FAN_IN.bit_length() - 1
MAX_MERGED_KEYS = 16 * 1024 * 1024

_NOTHING = Covered(0, 0)


class AnotherOwner(Exception):
    """Another process works on these files."""


def key(workspace_id: UUID, source_id: str, message_id: str) -> bytes:
    said = f"{workspace_id}\x00{source_id}\x00{message_id}"
    return hashlib.blake2b(said.encode(), digest_size=16).digest()


class SeenIds:
    """``unknown`` before the verdict is committed, ``remember`` after. One user at a time."""

    def __init__(self, folder: Path) -> None:
        """Opens or makes the store in ``folder``; what is torn there is thrown away.

        Raises ``AnotherOwner``. Reads every file once: some seconds for 30 million keys.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._lock = (folder / "lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AnotherOwner(f"{folder} is in use") from error
        self._writing = threading.Lock()
        self._fresh: set[bytes] = set()
        self._fresh_week = 0
        self._fresh_since = 0.0
        self._covered: dict[str, Covered] = {}
        self._segments: tuple[tuple[Listed, Segment], ...] = ()
        self._manifest = Manifest()
        self._load()

    def close(self) -> None:
        """Waits for a flush that is under way."""
        with self._writing:
            self._lock.close()

    @property
    def size(self) -> int:
        return len(self._fresh) + sum(listed.keys for listed in self._manifest.segments)

    def covered(self, partition: str) -> Covered:
        """Up to where this store knows the partition's keys."""
        return self._covered.get(partition, _NOTHING)

    def kept(self, partition: str) -> int:
        """Up to which offset the files know the partition: the log behind it is not needed."""
        return self._manifest.covered.get(partition, _NOTHING).offset

    def unknown(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of ``keys`` that were not remembered. Changes nothing; runs in a thread."""
        asked = [each for each in keys if each not in self._fresh]
        if not self._segments or not asked:
            return set(asked)
        wanted = sorted_keys(asked)
        known = wanted.first != wanted.first
        for _, each in self._segments:
            known |= each.contains(wanted)
        return {asked[index] for index in wanted.order[~known]}

    async def remember(self, partition: str, covered: Covered, keys: Sequence[bytes]) -> None:
        """``keys`` are those of the partition's rows from ``self.covered`` to ``covered``; those
        already known may be among them. Writes files when there is much to write."""
        week = covered.at_ms // 1000 // WEEK_SECONDS
        if week > self._fresh_week:
            await self.flush()
            self._fresh_week = week
        if not self._fresh:
            self._fresh_since = time.monotonic()
        self._fresh.update(keys)
        self._covered[partition] = covered
        if len(self._fresh) >= FLUSH_KEYS:
            await self.flush()

    async def flush_if_old(self) -> None:
        if self._covered != self._manifest.covered and (
            time.monotonic() - self._fresh_since > FLUSH_SECONDS
        ):
            await self.flush()

    async def flush(self) -> None:
        """Writes what is in memory, forgets weeks that are over, and merges small files."""
        if self._covered == self._manifest.covered:
            return
        await asyncio.to_thread(self._write)

    def forget_all(self) -> None:
        """Starts from nothing: the files belong to another log than this one."""
        self._fresh.clear()
        self._covered = {}
        self._publish((), Manifest())

    def _load(self) -> None:
        try:
            manifest = Manifest.read(self._folder)
            found = [(each, Segment(self._folder / each.name)) for each in manifest.segments]
        except (TornManifest, TornSegment, FileNotFoundError) as error:
            log.error("seen_ids_lost", reason=str(error))
            self.forget_all()
            return
        self._manifest, self._segments = manifest, tuple(found)
        self._covered = dict(manifest.covered)
        self._sweep()

    def _write(self) -> None:
        with self._writing:
            self._write_fresh()
            while self._merge():
                pass

    def _write_fresh(self) -> None:
        held = self._segments
        if self._fresh:
            name = self._manifest.next_name()
            segment.write(self._folder / name, sorted_keys(list(self._fresh)))
            opened = Segment(self._folder / name)
            held += ((Listed(name, self._fresh_week, opened.count), opened),)
        oldest = self._fresh_week - KEEP_WEEKS
        held = tuple(pair for pair in held if pair[0].week >= oldest)
        self._publish(held, self._manifest.following(held, dict(self._covered)))
        # Not before: after a full disk the next flush tries again with the same keys.
        self._fresh = set()

    def _merge(self) -> bool:
        """Merges one group of files, if there is one worth it."""
        group = mergeable([listed for listed, _ in self._segments], self._fresh_week)
        if not group:
            return False
        chosen = [pair for pair in self._segments if pair[0] in group]
        name = self._manifest.next_name()
        segment.merge(self._folder / name, [each for _, each in chosen])
        opened = Segment(self._folder / name)
        listed = Listed(name, group[0].week, opened.count)
        held = (*(pair for pair in self._segments if pair[0] not in group), (listed, opened))
        self._publish(held, self._manifest.following(held, self._manifest.covered))
        return True

    def _publish(self, held: tuple[tuple[Listed, Segment], ...], manifest: Manifest) -> None:
        manifest.write(self._folder)
        self._manifest, self._segments = manifest, held
        self._sweep()

    def _sweep(self) -> None:
        """Removes files that the manifest does not name: replaced, or of a flush that was cut."""
        named = {each.name for each in self._manifest.segments}
        for path in self._folder.glob("*.keys"):
            if path.name not in named:
                path.unlink()


def mergeable(segments: Sequence[Listed], this_week: int) -> list[Listed]:
    """Files of one week that should become one: ``FAN_IN`` of a size, or all of a week that is
    over, as long as the result does not exceed ``MAX_MERGED_KEYS``."""
    weeks: dict[int, list[Listed]] = {}
    for each in sorted(segments, key=lambda listed: listed.keys):
        weeks.setdefault(each.week, []).append(each)
    for week, listed in weeks.items():
        groups: dict[int, list[Listed]] = {}
        for each in listed:
            size = each.keys.bit_length() // _SIZE_BITS if week == this_week else 0
            groups.setdefault(size, []).append(each)
        for group in groups.values():
            room, chosen = MAX_MERGED_KEYS, []
            for each in group:
                if each.keys <= room:
                    chosen.append(each)
                    room -= each.keys
            if len(chosen) >= (FAN_IN if week == this_week else 2):
                return chosen
    return []
