"""Signed tokens of addresses that mails and providers call: whoever holds one may say what it is
for, and only that. Pure.

A token is base64url(payload + MAC), the MAC keyed BLAKE2b over kind and payload: a token of one
kind is none of another. Those of mails hold for ever, as a mail is opened years later; those of
people in front ends expire. The address a click
leads to stands in the token itself, so nobody without the key can make us redirect anywhere.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import msgspec

Kind = Literal["open", "click", "callback", "person"]
KINDS: tuple[Kind, ...] = ("open", "click", "callback", "person")
MAC_BYTES = 20
MAX_LENGTH = 4_000


@dataclass(frozen=True, slots=True)
class Tracked:
    """A mail, or a link in it. ``link`` counts a mail's different addresses from 0."""

    workspace_id: UUID
    message_id: UUID
    link: int = 0
    url: str = ""


class TokenKey:
    def __init__(self, key: str) -> None:
        """``key``: text of any length; whoever has it can make tokens."""
        self._keys = {
            kind: hashlib.blake2b(key.encode(), person=kind.encode()).digest() for kind in KINDS
        }

    def opened(self, workspace_id: UUID, message_id: UUID) -> str:
        return self._sign("open", (workspace_id.bytes, message_id.bytes))

    def clicked(self, tracked: Tracked) -> str:
        ids = tracked.workspace_id.bytes, tracked.message_id.bytes
        return self._sign("click", (*ids, tracked.link, tracked.url))

    def read(self, kind: Literal["open", "click"], token: str) -> Tracked | None:
        """What a token of ``kind`` says; None where it is not ours or was changed."""
        payload = self._verified(kind, token)
        if payload is None:
            return None
        workspace, message, *link = payload
        return Tracked(UUID(bytes=workspace), UUID(bytes=message), *link)

    def callback(self, workspace_id: UUID, channel_id: UUID) -> str:
        return self._sign("callback", (workspace_id.bytes, channel_id.bytes))

    def read_callback(self, token: str) -> tuple[UUID, UUID] | None:
        """(workspace, channel) whose provider was given this token."""
        payload = self._verified("callback", token)
        return None if payload is None else (UUID(bytes=payload[0]), UUID(bytes=payload[1]))

    def person(self, workspace_id: UUID, profile_id: UUID, expires_s: int) -> str:
        return self._sign("person", (workspace_id.bytes, profile_id.bytes, expires_s))

    def read_person(self, token: str, now_s: int) -> tuple[UUID, UUID] | None:
        """(workspace, profile); None also where it has expired."""
        payload = self._verified("person", token)
        if payload is None or payload[2] <= now_s:
            return None
        return UUID(bytes=payload[0]), UUID(bytes=payload[1])

    def _sign(self, kind: Kind, values: tuple[Any, ...]) -> str:
        payload = msgspec.msgpack.encode(values)
        return _text(payload + self._mac(kind, payload))

    def _verified(self, kind: Kind, token: str) -> list[Any] | None:
        if len(token) > MAX_LENGTH:
            return None
        try:
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            return None
        payload, mac = data[:-MAC_BYTES], data[-MAC_BYTES:]
        # The decoder passes over characters and bits that mean nothing: one text per token only.
        if _text(data) != token or not hmac.compare_digest(mac, self._mac(kind, payload)):
            return None
        found: list[Any] = msgspec.msgpack.decode(payload)
        return found

    def _mac(self, kind: Kind, payload: bytes) -> bytes:
        return hashlib.blake2b(payload, key=self._keys[kind], digest_size=MAC_BYTES).digest()


def callback_url(public_url: str, key: TokenKey, workspace_id: UUID, channel_id: UUID) -> str:
    """Where a channel's provider says what became of messages. A token and not the channel's id:
    rows of a workspace are read only by who knows which workspace it is."""
    return f"{public_url}/v1/callbacks/{key.callback(workspace_id, channel_id)}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
