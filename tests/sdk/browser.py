"""Headless Chromium for the tests, and the shop whose pages it visits."""

import json
import os
import subprocess
import threading
from concurrent.futures import Future
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
SECONDS = 60.0


class Browser:
    """`with Browser("/usr/bin/chromium") as browser:` starts it, and ends it with all its pages."""

    def __init__(self, executable: str) -> None:
        self._command = ["node", "browser.mjs", executable]
        self._ids = count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._writing = threading.Lock()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, name="browser-answers")
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(SECONDS)
        self._reader.join()

    def open(self, url: str) -> int:
        """Visits a page with a storage of its own and waits until it has made its calls."""
        return int(self._tell(open=url)["id"])

    def close(self, visit: int) -> list[str]:
        """Ends a visit: what stood in the page's console as errors."""
        complaints: list[str] = self._tell(close=visit)["complaints"]
        return complaints

    def _tell(self, **command: Any) -> dict[str, Any]:
        answer: Future[dict[str, Any]] = Future()
        with self._writing:
            number = next(self._ids)
            self._waiting[number] = answer
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"id": number, **command}) + "\n")
            self._process.stdin.flush()
        found = answer.result(SECONDS)
        assert "failed" not in found, found["failed"]
        return found

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer)


class _Quiet(SimpleHTTPRequestHandler):
    def guess_type(self, path: str | os.PathLike[str]) -> str:
        """Modules too are scripts; not every system's table of types knows it."""
        return "text/javascript" if str(path).endswith(".mjs") else super().guess_type(path)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing of each request."""


class Shop:
    """Serves ``pages`` and the packages under a host and a port that are not Waymark's."""

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=HERE))
        self._thread = threading.Thread(target=self._server.serve_forever, name="shop")
        self._thread.start()
        self.url = f"http://localhost:{self._server.server_port}/pages"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
