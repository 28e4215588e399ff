"""ClickHouse's HTTP interface over chDB: ``python -m tests.support.clickhouse_http.server``.

Arguments: port, chDB directory, scratch directory. A process of its own, by spawn: chDB takes one
directory per process and must not be forked. The test's wishes come in below ``/-/``.
"""

import gzip
import json
import sys
from base64 import b64decode
from collections.abc import Mapping
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import lz4.frame
import zstandard

from tests.support.clickhouse_http.engine import USERS, Answer, Engine, Refused, Statement
from tests.support.clickhouse_http.faults import Fault, Faults

COMPRESS = {"lz4": lz4.frame.compress, "zstd": zstandard.compress, "gzip": gzip.compress}
DECOMPRESS = {"lz4": lz4.frame.decompress, "zstd": zstandard.decompress, "gzip": gzip.decompress}
STATUS = {**dict.fromkeys((6, 26, 27, 36, 38, 41, 43, 46, 47, 62, 72, 117), 400), 60: 404, 81: 404}
STATUS |= {516: 403}
"""ClickHouse answers most errors with 500, those of the request with 4xx."""


class Cut(Exception):
    """The connection is to be closed without an answer."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, engine: Engine) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine = engine
        self.faults = Faults()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ping":
            self._answer(200, b"Ok.\n")
        else:
            self._answer(200, json.dumps(self._state()).encode())

    def do_POST(self) -> None:
        body = self._body()
        if self.path.startswith("/-/"):
            self._obey(self.path, body)
            self._answer(200, b"{}")
            return
        url, body = self._query(body)
        try:
            self._succeed(self._work(url, body), url)
        except Refused as refused:
            self._refuse(STATUS.get(refused.code, 500), refused)
        except Cut:
            self.close_connection = True

    def _work(self, url: Mapping[str, str], body: bytes) -> Answer:
        statement = Statement.of(url, body, self._readonly())
        fault = self.server.faults.next(statement.sql, statement.inserts)
        kind = fault.kind if fault else None
        if kind == "cut_before":
            raise Cut
        if fault and kind == "refuse":
            raise Refused(fault.code, f"Code: {fault.code}. {fault.text}")
        hold = self.server.faults.hold if kind == "hold" else None
        answer = self.server.engine.run(statement, hold)
        if statement.inserts:
            self.server.faults.rows.append(answer.rows)
        if kind == "cut_after":
            raise Cut
        return answer

    def _readonly(self) -> int:
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        name, _, password = b64decode(given).decode().partition(":")
        expected = USERS.get(name or "default")
        if expected is None or expected[0] != password:
            text = f"{name}: Authentication failed: password is incorrect"
            raise Refused(516, f"Code: 516. DB::Exception: {text} (AUTHENTICATION_FAILED)")
        return expected[1]

    def _query(self, body: bytes) -> tuple[dict[str, str], bytes]:
        url = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart/form-data"):
            return url, body
        form = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        return url | dict(_fields(form)), b""

    def _body(self) -> bytes:
        size = self.headers.get("Content-Length")
        body = self.rfile.read(int(size)) if size else b"".join(self._chunks())
        unpack = DECOMPRESS.get(self.headers.get("Content-Encoding", ""))
        return unpack(body) if unpack else body

    def _chunks(self) -> list[bytes]:
        found = []
        while self.headers.get("Transfer-Encoding") == "chunked":
            size = int(self.rfile.readline(), 16)
            found.append(self.rfile.read(size))
            self.rfile.readline()
            if not size:
                break
        return found

    def _succeed(self, answer: Answer, url: Mapping[str, str]) -> None:
        summary = {"read_rows": str(answer.rows), "written_rows": str(answer.rows)}
        headers = {
            "X-ClickHouse-Summary": json.dumps(summary),
            "X-ClickHouse-Query-Id": url.get("query_id", ""),
            "X-ClickHouse-Timezone": "UTC",
            **({"X-ClickHouse-Format": answer.format} if answer.body else {}),
        }
        accepted = self.headers.get("Accept-Encoding", "").replace(" ", "").split(",")
        encoding = next((name for name in accepted if name in COMPRESS), None)
        if url.get("enable_http_compression") == "1" and encoding and answer.body:
            headers["Content-Encoding"] = encoding
            self._answer(200, COMPRESS[encoding](answer.body), headers)
        else:
            self._answer(200, answer.body, headers)

    def _refuse(self, status: int, refused: Refused) -> None:
        self._answer(status, str(refused).encode(), {"X-ClickHouse-Exception-Code": refused.code})

    def _answer(
        self, status: int, body: bytes, headers: Mapping[str, str | int] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _state(self) -> dict[str, object]:
        return {**self.server.faults.state(), "running": self.server.engine.running}

    def _obey(self, path: str, body: bytes) -> None:
        if path == "/-/clear":
            self.server.faults.clear()
        else:
            self.server.faults.plan(Fault(**json.loads(body)))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test looks at what was stored."""


def _fields(form: Message) -> list[tuple[str, str]]:
    parts = form.get_payload()
    assert isinstance(parts, list)
    found = []
    for part in parts:
        assert isinstance(part, Message)
        value = part.get_payload(decode=True)
        assert isinstance(value, bytes)
        found.append((str(part.get_param("name", header="content-disposition")), value.decode()))
    return found


def main(port: int, path: str, scratch: Path) -> None:
    scratch.mkdir(exist_ok=True)
    Server(port, Engine(path, scratch)).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
