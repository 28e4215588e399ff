"""The links of messages that are composed from facts. Pure."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.contracts.profile import LinksWanted
from services.profile.consents.ledger import Place
from services.profile.consents.links import CONFIRM_DAYS, Link, LinkSigner
from services.profile.consents.policy import Standing


def tokens(
    signer: LinkSigner, workspace_id: UUID, wanted: LinksWanted, now: datetime
) -> Callable[[str, Standing], dict[str, Any]]:
    """What makes ``contracts.profile.Links`` of a profile."""
    expires = int((now + timedelta(days=CONFIRM_DAYS)).timestamp())

    def make(profile_id: str, consent: Standing) -> dict[str, Any]:
        person = UUID(profile_id)
        return {
            "preferences": signer.token(Link("preferences", workspace_id, person)),
            "unsubscribe": {
                purpose: signer.token(
                    Link("unsubscribe", workspace_id, person, Place(purpose, wanted.channel))
                )
                for purpose in wanted.purposes
            },
            "confirm": {
                purpose: signer.token(
                    Link("confirm", workspace_id, person, Place(purpose), expires)
                )
                for purpose in consent.pending
            },
        }

    return make
