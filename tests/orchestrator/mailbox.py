"""An SMTP server of aiosmtpd that keeps what it gets, and can be told to fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP


@dataclass
class Mailbox:
    """`rcpt` answers RCPT TO, `data` answers DATA; `hang_up`: take the mail, then cut the line."""

    messages: list[Message] = field(default_factory=list)
    connections: int = 0
    rcpt: str | None = None
    data: str | None = None
    hang_up: bool = False
    port: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """DATA is answered once it is set; `reached` tells that somebody waits for that."""

    def __post_init__(self) -> None:
        self.go_on.set()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.rcpt is not None:
            return self.rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.reached.set()
        await self.go_on.wait()
        if self.data is not None:
            return self.data
        self.messages.append(message_from_bytes(envelope.content, policy=default))
        if self.hang_up:
            server.transport.abort()
        return "250 taken"

    @property
    def recipients(self) -> list[str]:
        return [str(message["To"]) for message in self.messages]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        def connected() -> SMTP:
            self.connections += 1
            return SMTP(self, hostname="mailbox.test")

        loop = asyncio.get_running_loop()
        server = await loop.create_server(connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield
