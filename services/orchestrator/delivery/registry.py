"""All kinds of channels there are."""

from services.orchestrator.delivery.kinds import (
    aliyun_sms,
    email,
    inbox,
    resend,
    sendgrid,
    twilio,
    webhook,
    webpush,
)
from services.orchestrator.delivery.port import Kind

KINDS: dict[str, Kind] = {
    kind.type: kind
    for kind in (
        aliyun_sms.KIND,
        email.KIND,
        inbox.KIND,
        resend.KIND,
        sendgrid.KIND,
        twilio.KIND,
        webhook.KIND,
        webpush.KIND,
    )
}

IDEMPOTENT = [kind.type for kind in KINDS.values() if kind.idempotent]
MEDIA = {kind.type: kind.medium for kind in KINDS.values()}
"""The channel that consents name, by type."""
