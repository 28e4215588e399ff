"""A local SMTP server that keeps a note of every message and delivers none."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session

_PARSER = BytesHeaderParser()
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Received:
    """One accepted message: the recipient, and the ids in its head ("" where there is none)."""

    recipient: str
    message_id: str
    waymark_id: str


class Sink:
    """Listens on a free local port in a thread of its own while the `with` block runs."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp-sink")
        self._server: asyncio.Server | None = None

    async def handle_DATA(  # noqa: N802 - the library calls it by this name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        head = _PARSER.parsebytes(content if isinstance(content, bytes) else b"")
        for recipient in envelope.rcpt_tos:
            found = (head.get("Message-ID", ""), head.get("X-Waymark-Message-Id", ""))
            self.received.append(Received(recipient, *(str(text).strip() for text in found)))
        return "250 OK"

    def repeated(self) -> list[str]:
        """Message ids that came more than once."""
        counts = Counter(message.message_id for message in self.received)
        return sorted(message_id for message_id, times in counts.items() if times > 1)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: SMTP(self, data_size_limit=_MAX_BYTES, hostname="sink.invalid", loop=loop),
            "127.0.0.1",
            0,
        )
