"""Signing of webhooks as Standard Webhooks 1.0.0 specifies. Pure."""

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The signing key. Raises ValueError for anything but 24 to 64 bytes in base64."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"a secret starts with {PREFIX}")
    try:
        key = base64.b64decode(secret[len(PREFIX) :], validate=True)
    except binascii.Error as error:
        raise ValueError("what follows whsec_ is base64") from error
    if not 24 <= len(key) <= 64:
        raise ValueError("a secret holds 24 to 64 bytes")
    return key


def signature(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The `webhook-signature` header of a request."""
    signed = b".".join([message_id.encode(), str(timestamp_s).encode(), body])
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
