"""SMS by Twilio. It honours no key for messages.

Sources: Twilio docs "Messages resource", "Twilio's request to your application: Twilio API
responses", and the "Error and Warning Dictionary" for the codes below.
"""

from base64 import b64encode
from urllib.parse import quote, urlencode

from pydantic import AnyHttpUrl, Field, model_validator

from services.orchestrator.channels.store import Target
from services.orchestrator.delivery import provider
from services.orchestrator.delivery.port import HandOver, Key, Kind, Strict, Tools, latest
from services.orchestrator.delivery.result import Result, dead
from services.orchestrator.messages.model import Claimed

_DEAD = {
    21211,  # Invalid 'To' phone number.
    21614,  # 'To' number is not a valid mobile number.
}
_QUEUE_FULL = 21611  # This 'From' number has exceeded the maximum number of queued messages.
_TOO_MANY = 20429


class Config(Strict):
    account_sid: str = Field(pattern=r"^AC[0-9a-fA-F]{32}$", examples=["AC" + "0" * 32])
    from_number: str | None = Field(
        None, max_length=32, description="A number in E.164, a short code or a sender id."
    )
    messaging_service_sid: str | None = Field(
        None, pattern=r"^MG[0-9a-fA-F]{32}$", description="Instead of a number."
    )
    base_url: AnyHttpUrl = Field(AnyHttpUrl("https://api.twilio.com"), validate_default=True)

    @model_validator(mode="after")
    def _has_sender(self) -> "Config":
        if (self.from_number is None) == (self.messaging_service_sid is None):
            raise ValueError("give either from_number or messaging_service_sid")
        return self


class Secrets(Strict):
    auth_token: Key = Field(description="Never shown again.", examples=["the-auth-token"])


class Twilio:
    def __init__(self, target: Target, tools: Tools) -> None:
        self._target = target
        self._client = tools.client

    async def send(self, claim: Claimed, hand_over: HandOver, now: int) -> Result:
        answer = await provider.deliver(self._client, self._request(claim), claim, hand_over)
        if isinstance(answer, Result):
            return answer
        said = answer.json()
        if answer.ok:
            return Result("accepted", provider_id=said.get("sid"))
        code = said.get("code")
        reason = provider.reason_of(answer, code, said.get("message"))
        if code in _DEAD:
            return dead(reason)
        if code in (_QUEUE_FULL, _TOO_MANY):
            return provider.limited(answer, now, reason)
        if answer.status == 403 and code is not None and code != 20003:
            # Permissions of the account for this recipient, such as its country.
            return Result("failed", reason)
        return provider.refused(answer, now, reason)

    def _request(self, claim: Claimed) -> provider.Request:
        config, sid = self._target.config, self._target.config["account_sid"]
        form = {"To": claim.contact, "Body": claim.content["text"]}
        if config.get("messaging_service_sid"):
            form["MessagingServiceSid"] = config["messaging_service_sid"]
        else:
            form["From"] = config["from_number"]
        login = b64encode(f"{sid}:{self._target.secrets['auth_token']}".encode()).decode()
        return provider.Request(
            "POST",
            f"{config['base_url'].rstrip('/')}/2010-04-01/Accounts/{quote(sid)}/Messages.json",
            urlencode(form).encode(),
            {
                "content-type": "application/x-www-form-urlencoded",
                "authorization": f"Basic {login}",
            },
        )

    def close(self) -> None:
        """Nothing of its own is open."""


KIND = Kind(
    type="twilio",
    medium="sms",
    summary="SMS by Twilio.",
    config=Config,
    secrets=Secrets,
    content="text",
    address=latest("phone"),
    open=Twilio,
)
