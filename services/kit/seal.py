"""What may be kept of people who must be forgotten: keyed hashes, and sealed notes while work
lasts. Pure."""

import hashlib
import secrets
from typing import Generic, TypeVar
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

T = TypeVar("T")

_NONCE_BYTES = 12
MARK_BYTES = 16


class Seal(Generic[T]):
    """Of one key (text of any length); without the key neither marks nor notes say anything.

    ``kind``: what notes are, in msgspec's sense.
    """

    def __init__(self, key: str, kind: type[T]) -> None:
        self._mark_key = hashlib.blake2b(key.encode(), person=b"mark").digest()
        note_key = hashlib.blake2b(key.encode(), person=b"note", digest_size=32).digest()
        self._notes = AESGCM(note_key)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(kind)

    def mark(self, subject_id: UUID) -> bytes:
        """The same for the same subject; subject ids themselves can be guessed from an email."""
        return hashlib.blake2b(
            subject_id.bytes, key=self._mark_key, digest_size=MARK_BYTES
        ).digest()

    def close(self, notes: T) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._notes.encrypt(nonce, self._encoder.encode(notes), None)

    def open(self, sealed: bytes) -> T:
        """Raises ``cryptography``'s ``InvalidTag`` when it was sealed with another key."""
        plain = self._notes.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        return self._decoder.decode(plain)
