"""Email by SendGrid. It honours no key: what it took without our hearing of it is `unknown`.

Sources: the SendGrid v3 API reference, "Mail Send", "Status codes and errors", "Rate limits".
"""

from pydantic import AnyHttpUrl, Field

from services.orchestrator.channels.store import Target
from services.orchestrator.delivery import provider
from services.orchestrator.delivery.kinds.email import one_click_headers
from services.orchestrator.delivery.port import HandOver, Key, Kind, MailFrom, Strict, Tools, latest
from services.orchestrator.delivery.result import Result
from services.orchestrator.messages.model import Claimed


class Config(MailFrom):
    base_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://api.sendgrid.com"),
        validate_default=True,
        description="`https://api.eu.sendgrid.com` for data in the European Union.",
    )


class Secrets(Strict):
    api_key: Key = Field(description="Never shown again.", examples=["SG.the-api-key"])


class Sendgrid:
    def __init__(self, target: Target, tools: Tools) -> None:
        self._target = target
        self._client = tools.client

    async def send(self, claim: Claimed, hand_over: HandOver, now: int) -> Result:
        try:
            request = self._request(claim)
        except ValueError as error:
            return Result("failed", f"not_a_mail: {error}")
        answer = await provider.deliver(self._client, request, claim, hand_over)
        if isinstance(answer, Result):
            return answer
        if answer.ok:
            return Result("accepted", provider_id=answer.headers.get("x-message-id"))
        errors = answer.json().get("errors")
        first = errors[0] if isinstance(errors, list) and errors else {}
        detail = first.get("message") if isinstance(first, dict) else None
        reset = answer.headers.get("x-ratelimit-reset", "")
        if answer.status == 429 and reset.isdigit() and "retry-after" not in answer.headers:
            # SendGrid names the second at which its window begins anew.
            answer.headers["retry-after"] = str(max(1, int(reset[:12]) - now // 1_000))
        return provider.refused(answer, now, provider.reason_of(answer, None, detail))

    def _request(self, claim: Claimed) -> provider.Request:
        config = self._target.config
        sender = {"email": config["from_address"]}
        if config.get("from_name"):
            sender["name"] = config["from_name"]
        content = [{"type": "text/plain", "value": claim.content["text"]}]
        if claim.content.get("html"):
            content.append({"type": "text/html", "value": claim.content["html"]})
        body = {
            "personalizations": [
                {"to": [{"email": claim.contact}], "custom_args": {"message_id": str(claim.id)}}
            ],
            "from": sender,
            "subject": claim.content["subject"],
            "content": content,
            "headers": {"X-Waymark-Message-Id": str(claim.id), **one_click_headers(claim)},
        }
        return provider.json_request(
            f"{config['base_url'].rstrip('/')}/v3/mail/send",
            body,
            authorization=f"Bearer {self._target.secrets['api_key']}",
        )

    def close(self) -> None:
        """Nothing of its own is open."""


KIND = Kind(
    type="sendgrid",
    medium="email",
    summary="Email by SendGrid.",
    config=Config,
    secrets=Secrets,
    content="mail",
    address=latest("email"),
    open=Sendgrid,
)
