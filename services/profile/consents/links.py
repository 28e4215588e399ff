"""Signed tokens for links in messages: whoever holds one may do what it says, and only that. Pure.

A token is base64url(payload + MAC). The MAC is keyed BLAKE2b over kind and payload, so a token of
one kind is none of another. Unsubscribe and preference tokens hold for ever: a mail is opened
years later, and RFC 8058 knows no expiry. Erasing a person leaves them without effect.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import msgspec

from services.profile.consents.ledger import Place

Kind = Literal["unsubscribe", "preferences", "confirm"]
MAC_BYTES = 20
MAX_LENGTH = 1_000
CONFIRM_DAYS = 14
NOWHERE = Place("")


@dataclass(frozen=True, slots=True)
class Link:
    """``expires``: seconds since the epoch; 0 for never."""

    kind: Kind
    workspace_id: UUID
    profile_id: UUID
    place: Place = NOWHERE
    expires: int = 0


class LinkSigner:
    def __init__(self, key: str) -> None:
        """``key``: text of any length; whoever has it can make tokens."""
        self._keys = {
            kind: hashlib.blake2b(key.encode(), person=kind.encode()).digest()
            for kind in ("unsubscribe", "preferences", "confirm")
        }

    def token(self, link: Link) -> str:
        payload = msgspec.msgpack.encode(
            (link.workspace_id.bytes, link.profile_id.bytes, *link.place, link.expires)
        )
        return _text(payload + self._mac(link.kind, payload))

    def read(self, kind: Kind, token: str, now_s: float) -> Link | None:
        """What a token of ``kind`` says; None where it is not ours, changed or expired."""
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
        workspace, profile, purpose, channel, contact_point, expires = msgspec.msgpack.decode(
            payload
        )
        if expires and expires < now_s:
            return None
        place = Place(purpose, channel, contact_point)
        return Link(kind, UUID(bytes=workspace), UUID(bytes=profile), place, expires)

    def _mac(self, kind: Kind, payload: bytes) -> bytes:
        return hashlib.blake2b(payload, key=self._keys[kind], digest_size=MAC_BYTES).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
