"""All kinds of channels there are."""

from services.orchestrator.delivery.kinds import email, inbox, resend, sendgrid, twilio, webhook
from services.orchestrator.delivery.port import Kind

KINDS: dict[str, Kind] = {
    kind.type: kind
    for kind in (
        email.KIND,
        inbox.KIND,
        resend.KIND,
        sendgrid.KIND,
        twilio.KIND,
        webhook.KIND,
    )
}

IDEMPOTENT = [kind.type for kind in KINDS.values() if kind.idempotent]
MEDIA = {kind.type: kind.medium for kind in KINDS.values()}
"""The channel that consents name, by type."""
