"""An import that was killed, interrupted or refused goes on: nothing lost, nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import Import, line
from tests.cli.server import Ingestion


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


def test_a_changed_file_is_not_resumed(importer: Import) -> None:
    file = importer.write("a.ndjson", "\n".join(line(n) for n in range(30)))
    options = ("--batch", "10", "--concurrency", "1", "--max-retries", "0")
    with Ingestion(None, 503) as server:
        assert importer.run(server.url, file, *options)[0] == 1
        importer.write("a.ndjson", "\n".join(line(n) for n in range(100, 130)))
        assert importer.run(server.url, file, *options)[0] == 0
    assert len(server.events) == 40
