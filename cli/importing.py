"""Import files: read, map, deliver in concurrent batches, remember how far it came."""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cli.batches import Batch, Reject, batches
from cli.compile import compile_mapping
from cli.delivery import Event, Sender
from cli.lookups import load_lookups
from cli.mapping import Mapping
from cli.progress import Bar
from cli.reading import content_digest, read_records, sniff_format
from cli.state import Progress, StateFile

# Batches mapped ahead of the oldest unanswered one, per connection: keeps connections busy while
# one batch waits for its retry, and memory under 8 MB.
_WINDOW = 4
_SAVE_SECONDS = 0.5

Pending = deque[tuple[Batch, Future[list[tuple[Event, str]]]]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is the same for all files of one command."""

    mapping: Mapping
    mapping_path: Path
    rejects_path: Path
    state: StateFile
    batch_size: int


@dataclass(frozen=True, slots=True)
class Source:
    """One file to import, with what identifies its content and this import of it."""

    path: Path
    digest: bytes
    newlines: int
    key: str


def identify(path: Path, plan: Plan, sender: Sender) -> Source:
    """Digest a file; the key binds its stored progress to content, mapping and target."""
    digest, newlines = content_digest(path)
    target = f"{sender.url}\0{sender.write_key}\0".encode()
    key = hashlib.sha256(digest + target + plan.mapping.model_dump_json().encode()).hexdigest()
    return Source(path, digest, newlines, key)


def import_files(paths: list[Path], plan: Plan, sender: Sender) -> list[Progress]:
    """Import the files one after another; returns their counters.

    Raises NotDelivered or UnreadableFile with the progress saved, so that the same command goes on
    from there.
    """
    sources = [identify(path, plan, sender) for path in paths]
    states = [plan.state.load(source.key) for source in sources]
    _cut(plan.rejects_path, max(state.rejects_bytes for state in states))
    results = [
        _FileImport(source, plan, sender, state).run()
        for source, state in zip(sources, states, strict=True)
    ]
    for source in sources:
        plan.state.forget(source.key)
    return results


def _cut(rejects: Path, length: int) -> None:
    """Rejects behind the watermark will be found again; a fresh import starts without the file."""
    if not rejects.exists():
        return
    if length == 0:
        rejects.unlink()
        return
    with rejects.open("r+b") as stream:
        stream.truncate(min(length, rejects.stat().st_size))


class _FileImport:
    """The run over one file; batches are settled in the order of the file."""

    def __init__(self, source: Source, plan: Plan, sender: Sender, progress: Progress) -> None:
        self._source, self._plan, self._sender = source, plan, sender
        self._progress, self._saved_at = progress, time.monotonic()
        self._bar, self._line = Bar(source.path.name, source.newlines), 0

    def run(self) -> Progress:
        plan, source, pending = self._plan, self._source, Pending()
        mapping = plan.mapping
        tables = load_lookups(mapping, plan.mapping_path, source.path)
        to_event = compile_mapping(mapping, tables, source.digest)
        items = read_records(source.path, mapping.format or sniff_format(source.path), mapping.csv)
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(self._sender.connections))
            stack.callback(self._save)
            # Before the pool is joined: deliveries that come after a failed one must not wait.
            stack.push(lambda error, *_: self._sender.stop.set() if error else None)
            for batch in batches(items, to_event, self._progress.position, plan.batch_size):
                self._sender.check()
                if len(pending) >= _WINDOW * self._sender.connections:
                    self._settle(pending)
                pending.append((batch, pool.submit(self._sender.deliver, batch.events)))
                while pending and pending[0][1].done():
                    self._settle(pending)
            while pending:
                self._settle(pending)
            self._show(final=True)
        return self._progress

    def _settle(self, pending: Pending) -> None:
        batch, answer = pending[0]
        refused = answer.result()
        pending.popleft()
        before, rejects_bytes = self._progress, self._progress.rejects_bytes
        rejects = batch.rejects + [Reject(e.position, e.line, why) for e, why in refused]
        if rejects:
            rejects.sort(key=lambda reject: reject.position)
            rejects_bytes = self._write_rejects(rejects)
        # One assignment: a second interrupt finds the counters all before or all after this batch.
        self._progress = Progress(
            position=batch.position,
            read=before.read + batch.read,
            sent=before.sent + len(batch.events) - len(refused),
            rejected=before.rejected + len(rejects),
            rejects_bytes=rejects_bytes,
        )
        if time.monotonic() - self._saved_at > _SAVE_SECONDS:
            self._save()
        self._line = batch.line
        self._show()

    def _show(self, final: bool = False) -> None:
        self._bar.show(self._line, self._progress.sent, self._progress.rejected, final)

    def _write_rejects(self, rejects: list[Reject]) -> int:
        name = str(self._source.path)
        with self._plan.rejects_path.open("a", encoding="utf-8") as stream:
            for reject in rejects:
                row = {"file": name, "line": reject.line, "record": reject.position}
                stream.write(json.dumps({**row, "reason": reject.reason}) + "\n")
            return stream.tell()

    def _save(self) -> None:
        self._plan.state.save(self._source.key, self._progress)
        self._saved_at = time.monotonic()
