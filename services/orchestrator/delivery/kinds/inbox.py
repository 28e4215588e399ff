"""The inbox of an app: delivered into our own database when the message is settled.

Both are one transaction, so nothing is sent here. A sender that dies after the hand-over has
delivered nothing, so the message is queued again.
"""

from services.orchestrator.channels.store import Target
from services.orchestrator.delivery.port import HandOver, Kind, Strict, Tools
from services.orchestrator.delivery.result import Result
from services.orchestrator.messages.model import Claimed

TYPE = "inbox"


class Config(Strict):
    """Nothing has to be said."""


class Secrets(Strict):
    """There are none."""


class InboxWay:
    def __init__(self, target: Target, tools: Tools) -> None:
        """Nothing has to be opened."""

    async def send(self, claim: Claimed, hand_over: HandOver, now: int) -> Result:
        return Result("accepted") if await hand_over(claim) else Result("lost_lease")

    def close(self) -> None:
        """Nothing of its own is open."""


KIND = Kind(
    type=TYPE,
    medium="inbox",
    summary="Messages in an app, read by `/v1/inbox`.",
    config=Config,
    secrets=Secrets,
    content="push",
    open=InboxWay,
    idempotent=True,
)
