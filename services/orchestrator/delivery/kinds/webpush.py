"""Web push to a browser's subscription, without a provider's account.

Sources: RFC 8030 (delivery: `TTL`, `Urgency`, `Topic`, status codes), RFC 8188 and RFC 8291
(encryption), RFC 8292 (VAPID).
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Literal
from urllib.parse import urlsplit

import http_ece
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey
from pydantic import Field, SecretStr, field_validator

from services.orchestrator.channels.store import Target
from services.orchestrator.delivery import provider
from services.orchestrator.delivery.port import App, HandOver, Kind, Strict, Tools
from services.orchestrator.delivery.result import Result, dead
from services.orchestrator.messages.model import Claimed

MAX_PLAIN_BYTES = 3_993
"""RFC 8291, section 4: a push service need not take more than 4,096 bytes, of which the header is
86, the tag 16 and the delimiter 1."""
_VAPID_SECONDS = 12 * 3_600
"""How long a token holds; a push service refuses more than 24 hours."""
_ORIGINS = 50
"""Push services whose tokens are kept. There are a handful; endpoints can name any."""


class Config(App):
    subject: str = Field(
        max_length=300,
        pattern=r"^(mailto:[^\s@]+@[^\s@]+|https://\S+)$",
        description="Whom push services may write to about your pushes.",
        examples=["mailto:push@example.com"],
    )
    ttl_seconds: int = Field(
        86_400, ge=0, le=2_419_200, description="How long it waits for a browser that is away."
    )
    urgency: Literal["very-low", "low", "normal", "high"] = "normal"


class Secrets(Strict):
    private_key: SecretStr = Field(
        description="The VAPID private key: 32 bytes in base64url, as `web-push "
        "generate-vapid-keys` prints them. Browsers subscribe with its public key. "
        "Never shown again.",
        examples=["A" * 42 + "E"],
    )

    @field_validator("private_key")
    @classmethod
    def _is_key(cls, key: SecretStr) -> SecretStr:
        try:
            _private_key(key.get_secret_value())
        except ValueError:
            raise ValueError("32 bytes in base64url are accepted, a number on P-256") from None
        return key


class WebPush:
    """Keeps one VAPID token per push service."""

    def __init__(self, target: Target, tools: Tools) -> None:
        self._config = target.config
        self._client = tools.client
        self._allow_private = tools.allow_private
        key = _private_key(target.secrets["private_key"])
        self._key = ECKey.import_key(key)
        self._public = encoded(_point(key))
        self._tokens: dict[str, tuple[int, str]] = {}

    async def send(self, claim: Claimed, hand_over: HandOver, now: int) -> Result:
        endpoint, body = claim.contact or "", _payload(claim)
        if not (endpoint.startswith("https://") or self._allow_private):
            return dead("the endpoint is not https")
        if len(body) > MAX_PLAIN_BYTES:
            return Result("failed", f"payload_too_large: {len(body)} bytes, {MAX_PLAIN_BYTES} go")
        try:
            sealed = _sealed(body, claim.device_keys or {})
        except (ValueError, KeyError):
            return dead("the keys of the subscription are none")
        headers = {
            "content-type": "application/octet-stream",
            "content-encoding": "aes128gcm",
            "ttl": str(self._config["ttl_seconds"]),
            "urgency": self._config["urgency"],
            # What still waits under the same topic is replaced, so that it is not shown twice.
            "topic": claim.id.hex,
            "authorization": f"vapid t={self._token(endpoint, now)}, k={self._public}",
        }
        request = provider.Request("POST", endpoint, sealed, headers)
        answer = await provider.deliver(self._client, request, claim, hand_over)
        return answer if isinstance(answer, Result) else _result(answer, now)

    def _token(self, endpoint: str, now: int) -> str:
        url, second = urlsplit(endpoint), now // 1_000
        origin = f"{url.scheme}://{url.netloc}"
        until, token = self._tokens.get(origin, (0, ""))
        if until <= second:
            if len(self._tokens) >= _ORIGINS:
                self._tokens.clear()
            expires = second + _VAPID_SECONDS
            claims = {"aud": origin, "exp": expires, "sub": self._config["subject"]}
            token = jwt.encode({"typ": "JWT", "alg": "ES256"}, claims, self._key, ["ES256"])
            self._tokens[origin] = (expires - 3_600, token)
        return token

    def close(self) -> None:
        """Nothing of its own is open."""


def _payload(claim: Claimed) -> bytes:
    """What the service worker gets; `message_id` as tag of the notification shows it once."""
    content = claim.content
    body = {
        "message_id": str(claim.id),
        "title": content.get("subject") or "",
        "body": content["text"],
        "url": content.get("url"),
        "data": content.get("data") or {},
    }
    return msgspec.json.encode(body)


def _sealed(body: bytes, keys: dict[str, str]) -> bytes:
    """One record, as RFC 8291 wants, under a key pair used once."""
    return bytes(
        http_ece.encrypt(
            body,
            private_key=ec.generate_private_key(ec.SECP256R1()),
            dh=decoded(keys["p256dh"]),
            auth_secret=decoded(keys["auth"]),
            version="aes128gcm",
        )
    )


def _result(answer: provider.Answer, now: int) -> Result:
    if answer.ok:
        return Result("accepted", provider_id=answer.headers.get("location", "")[:200] or None)
    words = answer.body.decode(errors="replace").replace("\x00", "").strip()
    reason = provider.reason_of(answer, None, words)
    if answer.status in (404, 410):
        return dead(reason)
    if answer.status == 403:
        # RFC 8292, section 4.2: the browser subscribed with another key.
        return Result("failed", reason)
    return provider.refused(answer, now, reason)


def _private_key(text: str) -> ec.EllipticCurvePrivateKey:
    raw = decoded(text)
    if len(raw) != 32:
        raise ValueError("not 32 bytes")
    return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


KIND = Kind(
    type="webpush",
    medium="push",
    summary="Web push to browsers, encrypted for each and signed with your VAPID key.",
    config=Config,
    secrets=Secrets,
    content="push",
    device="webpush",
    open=WebPush,
)
