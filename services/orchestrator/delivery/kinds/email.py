"""Email over SMTP: a few kept connections per channel, the hand-over marked just before DATA.

Codes of dead mailboxes: RFC 3463 (Enhanced Mail System Status Codes).
"""

import asyncio
import re
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formataddr, formatdate
from typing import Literal

import aiosmtplib
from pydantic import Field, SecretStr

from services.orchestrator.channels.store import Target
from services.orchestrator.delivery.port import HandOver, Kind, MailFrom, Strict, Tools, latest
from services.orchestrator.delivery.result import Result, dead
from services.orchestrator.messages.model import Claimed

TIMEOUT_SECONDS = 30
_URL = re.compile(r"[!-;=?-~]{1,900}")
_LINE_BREAK = re.compile(rb"\r\n|\r|\n")
# No such mailbox, no such domain, a mailbox that moved away.
_DEAD = re.compile(r"5\.1\.(1|2|6|10)\b")


class Config(MailFrom):
    host: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9.:_-]+$",
        examples=["smtp.example.com"],
    )
    port: int = Field(ge=1, le=65_535, examples=[587])
    tls: Literal["none", "starttls", "tls"] = Field(
        "starttls", description="`none` sends in the clear: for sinks and relays on this machine."
    )
    username: str | None = Field(None, max_length=500)


class Secrets(Strict):
    password: SecretStr | None = Field(None, max_length=1_000, description="Never shown again.")


class Smtp:
    """Connections of one channel, at most ``concurrency`` at once, kept between messages."""

    def __init__(self, target: Target, concurrency: int) -> None:
        self._target = target
        self._slots = asyncio.Semaphore(concurrency)
        self._idle: list[aiosmtplib.SMTP] = []

    async def send(self, claim: Claimed, hand_over: HandOver, now: int) -> Result:
        """Never raises for what the server does; database errors of ``hand_over`` go through."""
        assert claim.contact is not None
        try:
            body = compose(claim, self._target, now)
        except (ValueError, TypeError, MessageError) as error:
            # What cannot be a mail must not hold up the others.
            return Result("failed", f"not_a_mail: {type(error).__name__}")
        async with self._slots:
            try:
                connection = await self._ready(claim.contact)
            except _Refused as error:
                return error.result
            except (aiosmtplib.SMTPException, OSError) as error:
                return Result("again", f"smtp_unreachable: {type(error).__name__}")
            if not await hand_over(claim):
                connection.close()
                return Result("lost_lease")
            return await self._data(connection, body)

    async def _data(self, connection: aiosmtplib.SMTP, body: bytes) -> Result:
        try:
            answer = await connection.data(body, timeout=TIMEOUT_SECONDS)
        except aiosmtplib.SMTPResponseException as error:
            # The server answered, so we know that it did not take the message.
            self._idle.append(connection)
            return _refusal(error.code, error.message)
        except (aiosmtplib.SMTPException, OSError) as error:
            # It may have taken it and lost its answer on the way (semantics SE-3).
            connection.close()
            return Result("unknown", f"answer_lost: {type(error).__name__}")
        self._idle.append(connection)
        return Result("accepted", provider_id=answer.message[:200])

    async def _ready(self, recipient: str) -> aiosmtplib.SMTP:
        """A connection that has accepted sender and recipient and waits for DATA."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_connected:
                continue
            try:
                await self._envelope(connection, recipient)
            except (aiosmtplib.SMTPServerDisconnected, OSError):
                # Servers close idle connections; a fresh one follows.
                connection.close()
                continue
            return connection
        connection = await self._connect()
        await self._envelope(connection, recipient)
        return connection

    async def _envelope(self, connection: aiosmtplib.SMTP, recipient: str) -> None:
        try:
            await connection.mail(self._target.config["from_address"])
            await connection.rcpt(recipient)
        except aiosmtplib.SMTPResponseException as error:
            await connection.rset()
            self._idle.append(connection)
            raise _Refused(_of_recipient(error.code, error.message)) from error
        except UnicodeEncodeError as error:
            await connection.rset()
            self._idle.append(connection)
            raise _Refused(Result("failed", "address_not_supported")) from error

    async def _connect(self) -> aiosmtplib.SMTP:
        config = self._target.config
        connection = aiosmtplib.SMTP(
            hostname=config["host"],
            port=config["port"],
            use_tls=config["tls"] == "tls",
            start_tls=config["tls"] == "starttls",
            username=config.get("username"),
            password=self._target.secrets.get("password"),
            timeout=TIMEOUT_SECONDS,
        )
        await connection.connect()
        if connection.is_connected and not connection.is_ehlo_or_helo_needed:
            return connection
        await connection.ehlo()
        return connection

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()


class _Refused(Exception):
    def __init__(self, result: Result) -> None:
        super().__init__(result.reason)
        self.result = result


def _refusal(code: int, message: str) -> Result:
    reason = f"smtp_{code}: {message}"[:300]
    return Result("again" if 400 <= code < 500 else "failed", reason)


def _of_recipient(code: int, message: str) -> Result:
    """A refusal before DATA: it may say that there is no such mailbox."""
    if code >= 500 and _DEAD.match(message):
        return dead(f"smtp_{code}: {message}")
    return _refusal(code, message)


def compose(claim: Claimed, target: Target, now: int) -> bytes:
    """The mail as it goes over the wire. ``ValueError`` where a value would become a header."""
    config = target.config
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"] = formataddr((config.get("from_name") or "", config["from_address"]))
    mail["To"] = claim.contact
    # `email` decodes what looks like an encoded word and writes the line breaks in it as they are.
    mail["Subject"] = claim.content["subject"].replace("=?", "= ?")
    mail["Date"] = formatdate(now / 1000)
    mail["Message-ID"] = f"<{claim.id}@{config['from_address'].rpartition('@')[2]}>"
    mail["X-Waymark-Message-Id"] = str(claim.id)
    mail.set_content(claim.content["text"])
    if claim.content.get("html"):
        mail.add_alternative(claim.content["html"], subtype="html")
    body = mail.as_bytes()
    if _header_names(body) != [name.lower().encode() for name in mail.keys()]:  # noqa: SIM118
        raise ValueError("a value starts a header of its own")
    # ``email`` would cut a long URL into encoded words, which no mailbox follows.
    first = "".join(f"{name}: {value}\r\n" for name, value in one_click_headers(claim).items())
    return first.encode() + body


def one_click_headers(claim: Claimed) -> dict[str, str]:
    """RFC 8058, of mails that can be unsubscribed from. ``ValueError`` where the URL is none."""
    url = claim.content.get("unsubscribe_url")
    if url is None:
        return {}
    if not _URL.fullmatch(url):
        raise ValueError("the unsubscribe link is no address")
    return {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def _header_names(body: bytes) -> list[bytes]:
    """As a lenient server reads them: any line break ends a line."""
    names = []
    for line in _LINE_BREAK.split(body):
        if not line:
            break
        if line[:1] not in b" \t":
            names.append(line.partition(b":")[0].lower())
    return names


def _open(target: Target, tools: Tools) -> Smtp:
    return Smtp(target, tools.smtp_concurrency)


KIND = Kind(
    type="email",
    medium="email",
    summary="Messages over SMTP.",
    config=Config,
    secrets=Secrets,
    content="mail",
    address=latest("email"),
    open=_open,
)
