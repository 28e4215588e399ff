"""What a key looks like: ``wk_<id>_<secret>`` (write) or ``sk_<id>_<secret>`` (secret)."""

import re
import secrets
import string
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal
from uuid import UUID

from services.kit.ids import uuid7

Kind = Literal["write", "secret"]

_PREFIXES: dict[Kind, str] = {"write": "wk", "secret": "sk"}
_KINDS: dict[str, Kind] = {prefix: kind for kind, prefix in _PREFIXES.items()}
_ALPHABET = string.ascii_letters + string.digits
# 62 ** 43 > 2 ** 256
_SECRET_LENGTH = 43
# Jitsu's clients insist on a colon between id and secret.
_KEY = re.compile(rf"(wk|sk)_([0-9a-f]{{32}})[_:]([0-9A-Za-z]{{{_SECRET_LENGTH}}})")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as somebody presents it; ``digest`` is the SHA-256 of its canonical text."""

    kind: Kind
    id: UUID
    digest: bytes


@dataclass(frozen=True, slots=True)
class NewKey:
    """``text`` is shown once and never stored."""

    kind: Kind
    id: UUID
    text: str

    @property
    def digest(self) -> bytes:
        return sha256(self.text.encode()).digest()

    @property
    def hint(self) -> str:
        """The last four characters, for people to tell keys apart."""
        return self.text[-4:]


def generate(kind: Kind, key_id: UUID | None = None) -> NewKey:
    key_id = key_id or uuid7()
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    return NewKey(kind, key_id, f"{_PREFIXES[kind]}_{key_id.hex}_{secret}")


def parse(text: str) -> Key | None:
    """None for what cannot be a key, so that it costs no look-up."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    prefix, key_id, secret = match.groups()
    canonical = f"{prefix}_{key_id}_{secret}"
    return Key(_KINDS[prefix], UUID(key_id), sha256(canonical.encode()).digest())
