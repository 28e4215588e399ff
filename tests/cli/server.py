"""An ingestion endpoint as the wire contract describes it, with faults on demand."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

WRITE_KEY = "wk_test"


class Ingestion:
    """A server on a free port; `faults` are answered first, one per request, then 200.

    A fault is a status, (status, headers), "drop" (the connection is cut before an answer) or
    "drop-after" (the events are stored, the answer is lost).
    """

    def __init__(self, *faults: Any) -> None:
        self.faults = list(faults)
        self.events: dict[str, dict[str, Any]] = {}
        self.posts: Counter[str] = Counter()
        self.batches: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []
        self.body_sizes: list[int] = []
        self.refuse_body_over: int | None = None
        self.refuse_events: set[str] = set()
        self.hold_after: int | None = None
        self.meeting: threading.Barrier | None = None
        self.active = self.most_active = 0
        self.held, self.released = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Ingestion:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fault(self) -> Any:
        with self._lock:
            return self.faults.pop(0) if self.faults else None

    def store(self, body: bytes, headers: dict[str, str]) -> int:
        """Store a batch; the status of the answer. With `meeting`, only in company."""
        with self._lock:
            self.active += 1
            self.most_active = max(self.most_active, self.active)
        try:
            if self.meeting is not None:
                self.meeting.wait(10)
            return self._store(body, headers)
        finally:
            with self._lock:
                self.active -= 1

    def _store(self, body: bytes, headers: dict[str, str]) -> int:
        expected = "Basic " + base64.b64encode(f"{WRITE_KEY}:".encode()).decode()
        if headers.get("authorization") != expected:
            return 401
        if self.refuse_body_over is not None and len(body) > self.refuse_body_over:
            return 413
        document = json.loads(body)
        if any(event["event"] in self.refuse_events for event in document["batch"]):
            return 400
        with self._lock:
            self.batches.append(document)
            self.headers.append(headers)
            self.body_sizes.append(len(body))
            for event in document["batch"]:
                self.posts[event["messageId"]] += 1
                self.events.setdefault(event["messageId"], event)
            stored = len(self.batches)
        if self.hold_after is not None and stored > self.hold_after:
            self.held.set()
            self.released.wait(30)
        return 200


def _handler(server: Ingestion) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # head and body in one packet, or every answer waits 40 ms for an ack

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {key.lower(): value for key, value in self.headers.items()}
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            fault = server.fault()
            if fault == "drop":
                self.close_connection = True
                return
            if fault == "drop-after":
                server.store(body, headers)
                self.close_connection = True
                return
            extra: dict[str, str] = {}
            if fault is None:
                status = server.store(body, headers) if self.path == "/v1/batch" else 404
            else:
                status, extra = fault if isinstance(fault, tuple) else (fault, {})
            self._answer(status, extra)

        def _answer(self, status: int, extra: dict[str, str]) -> None:
            server.statuses.append(status)
            answer = (
                {"success": True}
                if status == 200
                else {"code": f"c{status}", "message": f"because {status}"}
            )
            data = json.dumps(answer).encode()
            self.send_response(status)
            for key, value in extra.items():
                self.send_header(key, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    return Handler
