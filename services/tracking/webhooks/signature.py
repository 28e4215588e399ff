"""Whether a webhook was sent by somebody who knows the secret. Pure (clock passed in)."""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.tracking.webhooks.mapping_model import HeaderName

TOLERANCE_SECONDS = 5 * 60
_EPOCH = re.compile(r"[0-9]{1,12}")
# Of these the gateway keeps our own counsel: a partner's value never comes this far.
WITHHELD = {"authorization", "cookie", "host", "content-length", "x-request-id", "x-write-key"}


class StandardWebhooks(BaseModel):
    """Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature` (or the same
    with `svix-`), HMAC-SHA256 over `id.timestamp.body`. The timestamp may be 5 minutes off."""

    model_config = ConfigDict(extra="forbid")

    scheme: Literal["standard-webhooks"]


class Hmac(BaseModel):
    """An HMAC of the body in a header, as Shopify, GitHub and many others send it."""

    model_config = ConfigDict(extra="forbid")

    scheme: Literal["hmac"]
    header: HeaderName = Field(examples=["X-Shopify-Hmac-SHA256"])
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = Field(
        "", max_length=50, description="What stands before it.", examples=["sha256="]
    )


class TimestampedHmac(BaseModel):
    """`t=…,v1=…` in one header, as Stripe sends it: HMAC-SHA256 in hex over `timestamp.body`. The
    timestamp may be 5 minutes off."""

    model_config = ConfigDict(extra="forbid")

    scheme: Literal["timestamped-hmac"]
    header: HeaderName = Field(examples=["Stripe-Signature"])


class Unsigned(BaseModel):
    """Whoever knows the write key may post."""

    model_config = ConfigDict(extra="forbid")

    scheme: Literal["none"]


Signature = Annotated[
    StandardWebhooks | Hmac | TimestampedHmac | Unsigned, Field(discriminator="scheme")
]


class NotSigned(Exception):
    """Why a signature is not accepted, in words that tell nothing of what would be."""


def verify(
    signature: Signature,
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now_ms: int,
) -> None:
    """``NotSigned`` unless one of ``secrets`` made it.

    ``body``: the bytes as they came; ``headers`` in lower case.
    """
    match signature:
        case Unsigned():
            return
        case StandardWebhooks():
            _standard(secrets, headers, body, now_ms)
        case Hmac():
            _hmac(signature, secrets, headers, body)
        case TimestampedHmac():
            _timestamped(signature, secrets, headers, body, now_ms)


def delivery_id(signature: Signature, headers: Mapping[str, str]) -> str:
    """The id that stays the same when a delivery is tried again; none outside of the standard."""
    if not isinstance(signature, StandardWebhooks):
        return ""
    return headers.get("webhook-id") or headers.get("svix-id", "")


def standard_key(secret: str) -> bytes | None:
    """The key in `whsec_<base64>`; None where it is none of 16 to 64 bytes (the standard asks for
    24 to 64, and older senders have 16)."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if 16 <= len(key) <= 64 else None


def _standard(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now_ms: int) -> None:
    prefix = "webhook" if "webhook-id" in headers else "svix"
    identity, stamp = headers.get(f"{prefix}-id", ""), headers.get(f"{prefix}-timestamp", "")
    given = headers.get(f"{prefix}-signature", "")
    if not (identity and stamp and given):
        raise NotSigned("webhook-id, webhook-timestamp and webhook-signature are needed.")
    _recent(stamp, now_ms)
    signed = b".".join([identity.encode("latin-1", "replace"), stamp.encode(), body])
    keys = [key for secret in secrets if (key := standard_key(secret)) is not None]
    made = [base64.b64encode(_digest(key, signed, "sha256")) for key in keys]
    _compare(made, [one.removeprefix("v1,") for one in given.split() if one.startswith("v1,")])


def _hmac(signature: Hmac, secrets: Sequence[str], headers: Mapping[str, str], body: bytes) -> None:
    given = headers.get(signature.header)
    if not given:
        raise NotSigned(f"The header {signature.header} is needed.")
    if not given.startswith(signature.prefix):
        raise NotSigned(f"The header {signature.header} does not begin with {signature.prefix}")
    digests = [_digest(secret.encode(), body, signature.algorithm) for secret in secrets]
    given = given.removeprefix(signature.prefix).strip()
    if signature.encoding == "base64":
        _compare([base64.b64encode(digest) for digest in digests], [given])
    else:
        _compare([digest.hex().encode() for digest in digests], [given.lower()])


def _timestamped(
    signature: TimestampedHmac,
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now_ms: int,
) -> None:
    parts = [part.strip().partition("=") for part in headers.get(signature.header, "").split(",")]
    stamps = [value for name, _, value in parts if name == "t"]
    given = [value for name, _, value in parts if name == "v1"]
    if len(stamps) != 1 or not given:
        raise NotSigned(f"The header {signature.header} with t=…,v1=… is needed.")
    _recent(stamps[0], now_ms)
    signed = stamps[0].encode() + b"." + body
    _compare([_digest(s.encode(), signed, "sha256").hex().encode() for s in secrets], given)


def _recent(stamp: str, now_ms: int) -> None:
    """A recorded webhook must not be good for ever."""
    if _EPOCH.fullmatch(stamp) is None:
        raise NotSigned("The timestamp is not a number of seconds since 1970.")
    if abs(int(stamp) - now_ms / 1000) > TOLERANCE_SECONDS:
        raise NotSigned(f"The timestamp is more than {TOLERANCE_SECONDS} seconds off.")


def _digest(key: bytes, signed: bytes, algorithm: str) -> bytes:
    return hmac.new(key, signed, algorithm).digest()


def _compare(made: Sequence[bytes], given: Sequence[str]) -> None:
    # Every pair is compared, each in constant time: the answer's time tells nothing.
    matches = [hmac.compare_digest(one, each.encode()) for one in made for each in given[:16]]
    if not any(matches):
        raise NotSigned("The signature was not made of this body with a secret known here.")
