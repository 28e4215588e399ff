"""`waymark import` as a user runs it, against an endpoint that misbehaves now and then."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.batches import batches
from cli.delivery import Event, Sender
from cli.main import main
from cli.progress import Bar
from cli.reading import BadRecord
from tests.cli.server import WRITE_KEY, Ingestion

MAPPING = {
    "type": "track",
    "user": {"userId": "who"},
    "event": {"column": "what"},
    "time": {"column": "at"},
    "properties": {"remaining": True},
}


def line(number: int, **more: Any) -> str:
    return json.dumps(
        {"who": f"u{number}", "what": "Bought", "at": "2026-01-02T03:04:05Z", "n": number} | more
    )


class Import:
    """The command over one directory, in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.map(MAPPING)

    def map(self, mapping: dict[str, Any]) -> None:
        (self.folder / "map.yaml").write_text(yaml.safe_dump(mapping))

    def write(self, name: str, text: str | bytes) -> Path:
        data = text.encode() if isinstance(text, str) else text
        (self.folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return self.folder / name

    def arguments(self, url: str, *paths: Path | str) -> list[str]:
        files = [str(path) for path in paths if isinstance(path, Path)]
        options = [path for path in paths if isinstance(path, str)]
        fixed = ["--mapping", str(self.folder / "map.yaml"), "--url", url, "--json"]
        quick = ["--retry-base", "0.001", "--rejects", str(self.folder / "rejects.ndjson")]
        key = [] if "--write-key" in options else ["--write-key", WRITE_KEY]
        return ["import", *files, *fixed, *key, *quick, *options]

    def run(self, url: str, *paths: Path | str) -> tuple[int, dict[str, Any], str]:
        code = main(self.arguments(url, *paths))
        out, err = self._capsys.readouterr()
        return code, json.loads(out) if out else {}, err

    def rejects(self) -> list[dict[str, Any]]:
        path = self.folder / "rejects.ndjson"
        return [json.loads(row) for row in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def importer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    return Import(tmp_path, capsys)


def test_lines_arrive_as_segment_events_with_basic_auth_and_without_sent_at(
    importer: Import,
) -> None:
    file = importer.write("a.ndjson", line(1) + "\n")
    with Ingestion() as server:
        code, report, _ = importer.run(server.url, file)
    assert code == 0
    assert report["files"] == [{"file": str(file), "read": 1, "sent": 1, "rejected": 0}]
    [batch] = server.batches
    assert batch.keys() == {"batch", "context"}
    [event] = batch["batch"]
    assert len(event.pop("messageId")) == 32
    assert event == {
        "type": "track",
        "channel": "server",
        "userId": "u1",
        "event": "Bought",
        "timestamp": "2026-01-02T03:04:05.000Z",
        "properties": {"n": 1},
    }


def test_identical_lines_are_different_events_and_the_same_file_twice_is_not(
    importer: Import,
) -> None:
    text = "\n".join([line(1)] * 3) + "\n"
    plain, packed = importer.write("a.ndjson", text), importer.write("b.ndjson.gz", text)
    other = importer.write("c.ndjson", text + line(2))
    with Ingestion() as server:
        importer.run(server.url, plain)
        assert len(server.events) == 3
        importer.run(server.url, plain)
        importer.run(server.url, packed)
        assert len(server.events) == 3
        assert set(server.posts.values()) == {3}
        importer.run(server.url, other)
        assert len(server.events) == 7


def test_two_mappings_of_one_file_are_kept_apart_by_their_scope(importer: Import) -> None:
    file = importer.write("a.ndjson", line(1))
    with Ingestion() as server:
        importer.run(server.url, file)
        importer.map(MAPPING | {"id_scope": "second reading"})
        importer.run(server.url, file)
    assert len(server.events) == 2


@pytest.mark.parametrize(
    "fault",
    [
        408,
        429,
        500,
        503,
        (429, {"Retry-After": "0"}),
        (503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        (503, {"Retry-After": "soon"}),
        "drop",
        "drop-after",
    ],
)
def test_a_fault_that_passes_is_retried_until_every_event_is_in(
    importer: Import, fault: Any
) -> None:
    file = importer.write("a.ndjson", "\n".join(line(n) for n in range(40)))
    with Ingestion(fault, fault, fault) as server:
        code, report, _ = importer.run(server.url, file, "--batch", "10")
    assert code == 0
    assert {event["properties"]["n"] for event in server.events.values()} == set(range(40))
    assert report["files"][0]["sent"] == 40
    assert report["retried"] == 3


class Waits(threading.Event):
    """Notes how long it is asked to wait, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        return False


def test_retry_after_is_waited_for_within_reason() -> None:
    waits = Waits()
    with Ingestion((429, {"Retry-After": "7"}), (503, {"Retry-After": "99999"}), 500) as server:
        sender = Sender(server.url, WRITE_KEY, stop=waits)
        data = json.dumps({"event": "e", "messageId": "1"}).encode()
        assert sender.deliver([Event(1, 1, data)]) == []
        sender.close()
    assert waits.seconds[:2] == [7.0, 300.0]
    last = waits.seconds[2]
    assert last is not None
    assert 1.5 <= last <= 2.0


def test_giving_up_is_an_error_and_the_same_command_goes_on(importer: Import) -> None:
    file = importer.write("a.ndjson", "\n".join(line(n) for n in range(30)))
    options = ("--batch", "10", "--concurrency", "1", "--max-retries", "2")
    with Ingestion(None, 503, 503, 503) as server:
        code, report, err = importer.run(server.url, file, *options)
        assert (code, report) == (1, {})
        assert "gave up after 2 retries: 503 because 503" in err
        assert len(server.events) == 10
        code, report, _ = importer.run(server.url, file, *options)
        assert code == 0
        assert report["files"][0] == {"file": str(file), "read": 30, "sent": 30, "rejected": 0}
        assert len(server.events) == 30
        assert set(server.posts.values()) == {1}


def test_a_wrong_key_ends_the_import_at_once(importer: Import) -> None:
    file = importer.write("a.ndjson", "\n".join(line(n) for n in range(100)))
    with Ingestion() as server:
        code, _, err = importer.run(server.url, file, "--write-key", "nope", "--concurrency", "1")
    assert code == 1
    assert "401 because 401" in err
    assert server.statuses == [401]


def test_malformed_lines_are_reported_with_their_numbers_and_stop_nothing(
    importer: Import,
) -> None:
    rows = [
        line(1),
        '{"who": "u2", "what": "Bou',
        "",
        '["a list"]',
        line(5, at="yesterday"),
        line(6, who=None),
        line(7, what=None),
        line(8, text="x" * 40_000),
        '{"n": NaN}',
        "[" * 100_000,
        line(11, bad="\ud800"),
        line(12),
    ]
    file = importer.write("a.ndjson", "\n".join(rows))
    with Ingestion() as server:
        code, report, err = importer.run(server.url, file)
        assert importer.run(server.url, file, "--strict")[0] == 3
    assert code == 0
    assert report["files"][0] == {"file": str(file), "read": 11, "sent": 2, "rejected": 9}
    rejects = importer.rejects()
    assert [reject["line"] for reject in rejects] == [2, 4, 5, 6, 7, 8, 9, 10, 11]
    reasons = [reject["reason"] for reject in rejects]
    assert reasons[2] == "time: at 'yesterday' is not a time (iso)"
    assert reasons[3] == "user: no userId and no anonymousId in the record"
    assert "40" in reasons[5]
    assert "the limit is 32768" in reasons[5]
    assert {event["userId"] for event in server.events.values()} == {"u1", "u12"}
    assert "9 rejected lines" in err


def test_a_file_of_nothing_but_bad_lines_posts_nothing(importer: Import) -> None:
    file = importer.write("a.ndjson", "no\n" * 2500)
    with Ingestion() as server:
        code, report, _ = importer.run(server.url, file)
    assert (code, server.statuses) == (0, [])
    assert report["files"][0]["rejected"] == 2500
    assert [reject["line"] for reject in importer.rejects()] == list(range(1, 2501))


def test_an_event_the_server_refuses_is_found_and_the_others_arrive(importer: Import) -> None:
    rows = [line(n, what="Poison" if n in (3, 17) else "Good") for n in range(1, 41)]
    file = importer.write("a.ndjson", "\n".join(rows))
    with Ingestion() as server:
        server.refuse_events = {"Poison"}
        code, report, _ = importer.run(server.url, file)
    assert code == 0
    assert report["files"][0] == {"file": str(file), "read": 40, "sent": 38, "rejected": 2}
    assert [(r["line"], r["reason"]) for r in importer.rejects()] == [
        (3, "400 because 400"),
        (17, "400 because 400"),
    ]


def test_a_server_that_refuses_everything_is_a_failure_and_not_a_heap_of_rejects(
    importer: Import,
) -> None:
    file = importer.write("a.ndjson", "\n".join(line(n) for n in range(40)))
    with Ingestion() as server:
        server.refuse_body_over = 0
        code, _, err = importer.run(server.url, file)
    assert code == 1
    assert "refuses every event: 413" in err


def test_batches_keep_below_the_limits_of_count_and_bytes(importer: Import) -> None:
    rows = [line(n, text="x" * 20_000) for n in range(100)]
    file = importer.write("a.ndjson", "\n".join(rows))
    with Ingestion() as server:
        importer.run(server.url, file, "--batch", "2500")
        assert len(server.events) == 100
        assert max(server.body_sizes) < 480_000
        assert len(server.batches) < 8
        with pytest.raises(SystemExit):
            main(importer.arguments(server.url, file, "--batch", "2501"))


def test_as_many_requests_as_asked_for_are_under_way_and_no_more(importer: Import) -> None:
    file = importer.write("a.ndjson", "\n".join(line(n) for n in range(90)))
    with Ingestion() as server:
        server.meeting = threading.Barrier(3)
        assert importer.run(server.url, file, "--batch", "10", "--concurrency", "3")[0] == 0
    assert server.most_active == 3
    assert len(server.events) == 90


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_on_a_terminal_only() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        bar = Bar("a.csv", 200, stream)
        bar.show(50, 40, 10)
        bar.show(200, 190, 10, final=True)
    assert pipe.getvalue() == ""
    assert " 25% 40 sent" in terminal.getvalue()
    assert "100% 190 sent" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")


def test_requests_can_be_compressed(importer: Import) -> None:
    file = importer.write("a.ndjson", line(1))
    with Ingestion() as server:
        assert importer.run(server.url, file, "--gzip")[0] == 0
    assert server.headers[0]["content-encoding"] == "gzip"
    assert len(server.events) == 1


def test_the_address_and_key_can_come_from_the_credentials_file(importer: Import) -> None:
    file = importer.write("a.ndjson", line(1))
    with Ingestion() as server:
        found = {"url": server.url, "write_key": WRITE_KEY}
        credentials = importer.write("credentials.json", json.dumps(found))
        mapping = str(importer.folder / "map.yaml")
        arguments = ["import", str(file), "--mapping", mapping, "--credentials", str(credentials)]
        assert main(arguments) == 0
    assert len(server.events) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--url": "ftp://x"}, "not an http or https address"),
        ({"--credentials": "/nowhere.json"}, "--credentials /nowhere.json"),
        ({"--mapping": "/nowhere.yaml"}, "/nowhere.yaml"),
    ],
)
def test_unusable_options_are_named(importer: Import, change: dict[str, str], said: str) -> None:
    file = importer.write("a.ndjson", line(1))
    options = [text for pair in change.items() for text in pair]
    code, _, err = importer.run("http://127.0.0.1:9", file, *options)
    assert code == 2
    assert said in err


def test_a_killed_import_goes_on_without_losing_or_doubling_anything(importer: Import) -> None:
    rows = [line(n) if n % 50 else "broken" for n in range(1, 5001)]
    file = importer.write("a.ndjson", "\n".join(rows))
    options = ("--batch", "10", "--concurrency", "2")
    with Ingestion() as server:
        server.hold_after = 250
        command = [sys.executable, "-m", "cli", *importer.arguments(server.url, file, *options)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert server.held.wait(30)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = dict(server.posts)
        server.hold_after = None
        server.released.set()
        code, report, _ = importer.run(server.url, file, *options)
    assert code == 0
    assert 0 < len(before) < 4900
    assert len(server.events) == 4900
    assert report["files"][0] == {"file": str(file), "read": 5000, "sent": 4900, "rejected": 100}
    assert [reject["line"] for reject in importer.rejects()] == list(range(50, 5001, 50))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_import_goes_on_where_it_was(importer: Import, number: int) -> None:
    file = importer.write("a.ndjson", "\n".join(line(n) for n in range(1000)))
    options = ("--batch", "10", "--concurrency", "1")
    with Ingestion() as server:
        server.hold_after = 50
        command = [sys.executable, "-m", "cli", *importer.arguments(server.url, file, *options)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert server.held.wait(30)
        os.kill(process.pid, number)
        server.hold_after = None
        server.released.set()
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert b"run the same command again" in err
        assert (importer.folder / "a.ndjson.import-state.json").exists()
        code, report, _ = importer.run(server.url, file, *options)
    assert code == 0
    assert report["files"][0]["sent"] == 1000
    # At most the requests in flight when the signal came were posted twice.
    assert sum(server.posts.values()) <= 1000 + 2 * 10
    assert not (importer.folder / "a.ndjson.import-state.json").exists()


def test_several_files_share_one_report_and_go_on_from_the_one_that_failed(
    importer: Import,
) -> None:
    one = importer.write("one.ndjson", "bad\n" + line(1) + "\n" + line(2))
    two = importer.write("two.ndjson.gz", line(1) + "\nbad\n" + line(3))
    options = ("--concurrency", "1", "--max-retries", "0")
    with Ingestion(None, 503) as server:
        assert importer.run(server.url, one, two, *options)[0] == 1
        code, report, _ = importer.run(server.url, one, two, *options)
    assert code == 0
    assert [row["sent"] for row in report["files"]] == [2, 2]
    assert set(server.posts.values()) == {1}
    assert [(Path(r["file"]).name, r["line"]) for r in importer.rejects()] == [
        ("one.ndjson", 1),
        ("two.ndjson.gz", 2),
    ]


def test_rejects_written_after_the_last_saved_progress_are_not_listed_twice(
    importer: Import,
) -> None:
    file = importer.write("a.ndjson", "\n".join(["bad", line(1), line(2), "bad"]))
    options = ("--batch", "1", "--concurrency", "1", "--max-retries", "0")
    with Ingestion(None, 503) as server:
        assert importer.run(server.url, file, *options)[0] == 1
        with (importer.folder / "rejects.ndjson").open("a") as stream:
            stream.write('{"line": 4, "reason": "written just before the crash"}\n')
        assert importer.run(server.url, file, *options)[0] == 0
    assert [reject["line"] for reject in importer.rejects()] == [1, 4]


def test_rejects_do_not_pile_up_in_memory() -> None:
    bad = ((n, n, BadRecord("no")) for n in range(1, 10_001))
    sizes = [len(batch.rejects) for batch in batches(bad, lambda *_: b"", 0, 500)]
    assert sum(sizes) == 10_000
    assert max(sizes) <= 1000


def test_a_changed_file_is_not_resumed(importer: Import) -> None:
    file = importer.write("a.ndjson", "\n".join(line(n) for n in range(30)))
    options = ("--batch", "10", "--concurrency", "1", "--max-retries", "0")
    with Ingestion(None, 503) as server:
        assert importer.run(server.url, file, *options)[0] == 1
        importer.write("a.ndjson", "\n".join(line(n) for n in range(100, 130)))
        assert importer.run(server.url, file, *options)[0] == 0
    assert len(server.events) == 40


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.ndjson", "{}".encode("utf-16"), "UTF-16"),
        ("a.csv", b"who,who\n1,2\n", "names twice: who"),
        ("a.dat", b"{}", "name the format"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_named(
    importer: Import, name: str, data: bytes, said: str
) -> None:
    file = importer.write(name, data)
    code, _, err = importer.run("http://127.0.0.1:9", file)
    assert code == 2
    assert name in err
    assert said in err


def test_a_cut_gzip_file_is_named_before_anything_is_posted(importer: Import) -> None:
    file = importer.write("a.ndjson", "")
    file.write_bytes(gzip.compress(("\n".join(line(n) for n in range(50_000))).encode())[:-20])
    code, _, err = importer.run("http://127.0.0.1:9", file)
    assert code == 2
    assert "a.ndjson" in err
