"""The `waymark` console script: an HTTP client of a running Waymark."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

from cli import journeys
from cli.batches import MAX_EVENTS
from cli.delivery import NotDelivered, Retries, Sender
from cli.importing import Plan, import_files
from cli.mapping import MappingError, load_mapping
from cli.reading import UnreadableFile
from cli.state import Progress, StateFile
from cli.target import Unusable, target

OK, NOT_DELIVERED, UNUSABLE, SOME_REJECTED, INTERRUPTED = 0, 1, 2, 3, 130
_SHOWN_REJECTS = 10


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code (see `waymark import --help`)."""
    arguments = _parser().parse_args(argv)
    try:
        run: Callable[[argparse.Namespace], int] = arguments.run
        return run(arguments)
    except (MappingError, UnreadableFile, Unusable) as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except NotDelivered as error:
        print(f"not delivered: {error}\nrun the same command again to go on", file=sys.stderr)
        return NOT_DELIVERED
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED


@contextmanager
def _interruptible(sender: Sender) -> Iterator[None]:
    """SIGINT and SIGTERM let the requests on their way finish; a second one ends at once.

    A KeyboardInterrupt can strike inside the pool just after it took a lock, which nobody gives
    back then: the import would hang. Of all queues only this one may be put into by a handler.
    """
    came: SimpleQueue[bool] = SimpleQueue()

    def interrupt(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        came.put(True)

    def watch() -> None:
        if came.get():
            sender.interrupt()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    watcher = threading.Thread(target=watch)
    watcher.start()
    for number, handler in before.items():
        # Started in the background by a shell, SIGINT is ignored and stays so.
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    except NotDelivered as error:
        if sender.interrupted:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        came.put(False)
        watcher.join()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="waymark", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "import",
        help="post the records of files as events",
        description="Post the records of CSV, NDJSON and JSON files (plain or .gz) as events. "
        "Interrupted, the same command goes on where it was. Exit codes: 0 all delivered, "
        "1 not delivered, 2 unusable file, mapping or option, 3 rejects with --strict.",
    )
    add = command.add_argument
    add("files", nargs="+", type=Path, metavar="FILE")
    add("--mapping", type=Path, required=True, help="YAML file: which column is what")
    add("--url", help="address of Waymark, e.g. http://127.0.0.1:8080")
    add("--write-key", help="write key of the source")
    add("--credentials", type=Path, help="JSON file with url and write_key", metavar="FILE")
    add("--batch", type=_count(MAX_EVENTS), default=500, help="events per request (500)")
    add("--concurrency", type=_count(64), default=4, help="requests at a time (4)")
    add("--gzip", action="store_true", help="compress requests")
    add("--rejects", type=Path, default=Path("rejects.ndjson"), help="where rejected lines go")
    add("--state", type=Path, help="where progress is kept (beside the first file)")
    add("--max-retries", type=_count(1000, least=0), default=12, help="per request (12)")
    add("--retry-base", type=float, default=0.5, help="first wait, seconds; doubles to 30 (0.5)")
    add("--strict", action="store_true", help="exit with 3 when a line was rejected")
    add("--json", action="store_true", help="print the report as JSON")
    command.set_defaults(run=_import)
    journeys.add_commands(commands)
    return parser


def _count(most: int, least: int = 1) -> type[int]:
    class Count(int):
        def __new__(cls, text: str) -> Count:
            number = super().__new__(cls, text)
            if not least <= number <= most:
                raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
            return number

    return Count


def _import(arguments: argparse.Namespace) -> int:
    url, write_key = target(arguments, "write_key")
    first: Path = arguments.files[0]
    plan = Plan(
        mapping=load_mapping(arguments.mapping),
        mapping_path=arguments.mapping,
        rejects_path=arguments.rejects,
        state=StateFile(arguments.state or first.with_name(f"{first.name}.import-state.json")),
        batch_size=arguments.batch,
    )
    sender = Sender(
        url=url,
        write_key=write_key,
        retries=Retries(arguments.max_retries, arguments.retry_base),
        compress=arguments.gzip,
        connections=arguments.concurrency,
    )
    started = time.monotonic()
    try:
        with _interruptible(sender):
            results = import_files(arguments.files, plan, sender)
    finally:
        sender.close()
    _report(arguments, results, time.monotonic() - started, sender.retried)
    rejected = any(result.rejected for result in results)
    return SOME_REJECTED if rejected and arguments.strict else OK


def _report(
    arguments: argparse.Namespace, results: list[Progress], seconds: float, retried: int
) -> None:
    rows = [
        {"file": str(path), "read": r.read, "sent": r.sent, "rejected": r.rejected}
        for path, r in zip(arguments.files, results, strict=True)
    ]
    rejected = sum(result.rejected for result in results)
    if arguments.json:
        whole = {"files": rows, "seconds": round(seconds, 3), "retried": retried}
        print(json.dumps(whole | {"rejects": str(arguments.rejects) if rejected else None}))
    else:
        for row in rows:
            print(
                "{file}: {read:,} records read, {sent:,} sent, {rejected:,} rejected".format(**row)
            )
        print(f"{seconds:.1f} s, {retried} retries")
    if rejected:
        _show_rejects(arguments.rejects, rejected)


def _show_rejects(path: Path, rejected: int) -> None:
    with path.open(encoding="utf-8") as stream:
        for row in (json.loads(next(stream)) for _ in range(min(rejected, _SHOWN_REJECTS))):
            print(f"{row['file']}, line {row['line']}: {row['reason']}", file=sys.stderr)
    print(f"{rejected:,} rejected lines are listed in {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
