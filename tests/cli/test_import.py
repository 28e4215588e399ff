"""`waymark import` as a user runs it, against an endpoint that misbehaves now and then."""

from __future__ import annotations

import gzip
import io
import json
import threading
from typing import Any

import pytest

from cli.batches import batches
from cli.delivery import Event, Sender
from cli.main import main
from cli.progress import Bar
from cli.reading import BadRecord
from tests.cli.command import MAPPING, Import, line
from tests.cli.server import WRITE_KEY, Ingestion


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


def test_rejects_do_not_pile_up_in_memory() -> None:
    bad = ((n, n, BadRecord("no")) for n in range(1, 10_001))
    sizes = [len(batch.rejects) for batch in batches(bad, lambda *_: b"", 0, 500)]
    assert sum(sizes) == 10_000
    assert max(sizes) <= 1000


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
