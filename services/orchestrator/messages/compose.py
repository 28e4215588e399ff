"""From a step's send to a ledger row: who it goes to, rendered with what is known now. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from services.contracts.profile import ProfileFacts
from services.orchestrator.delivery.port import Kind
from services.orchestrator.delivery.registry import KINDS, MEDIA
from services.orchestrator.devices.store import Place
from services.orchestrator.engine.participants import Participant
from services.orchestrator.journeys.effects import Send
from services.orchestrator.journeys.graph import Graph, required_consents
from services.orchestrator.journeys.zones import known_zone
from services.orchestrator.message_templates.extras import render_extras
from services.orchestrator.message_templates.mail import render_mail
from services.orchestrator.message_templates.render import Parts, TemplateInvalid, render_payload
from services.orchestrator.messages.model import NewMessage
from services.orchestrator.receipts.links import Tracker, wanted
from services.orchestrator.times import from_ms


@dataclass(frozen=True)
class Kit:
    """What composing needs besides the person: channel types and template sources by id."""

    channel_types: Mapping[UUID, str]
    templates: Mapping[UUID, Parts]
    public_url: str = ""
    """Where people reach the gateway: the start of links."""
    configs: Mapping[UUID, Mapping[str, Any]] = field(default_factory=dict)
    """What is public of the channels, by id."""
    devices: Mapping[Place, UUID] = field(default_factory=dict)
    """Devices of the people the messages go to."""
    tracker: Tracker | None = None
    """Makes opens and clicks of mails known; None for what nobody receives."""


def compose(
    participant: Participant,
    send: Send,
    graph: Graph,
    facts: ProfileFacts | None,
    kit: Kit,
    *,
    replay_id: UUID | None = None,
    channel_id: UUID | None = None,
) -> NewMessage:
    """Never raises: what cannot be sent is a skipped message with its reason."""
    channel = channel_id or send.channel_id
    message = NewMessage(
        participant_id=participant.id,
        node=send.node,
        visit=send.visit,
        channel_id=channel,
        channel_type=kit.channel_types.get(channel, "email"),
        journey_id=participant.journey_id,
        version_id=None if replay_id else participant.version_id,
        replay_id=replay_id,
        profile_id=participant.profile_id,
        template_id=send.template_id,
        purpose=graph.purpose,
        contact=None,
        content={},
        required=required_consents(graph),
        tags=list(send.tags),
        priority=graph.priority,
        expires_after_seconds=send.expires_after_seconds,
    )
    if facts is None or not facts.exists:
        message.skipped = "no_profile"
        return message
    message.zone = zone_name(facts, graph)
    message.presumed = [purpose for purpose in message.required if purpose in facts.presumed]
    links = links_of(message, facts, kit.public_url)
    variables = variables_of(participant, graph, facts) | links
    try:
        if send.payload is not None:
            message.content = {"payload": render_payload(send.payload, variables)}
            if send.capture is not None:
                message.content["capture"] = dict(send.capture)
            return message
        kind = KINDS[message.channel_type]
        message.contact = address(kind, channel, facts, kit)
        source = kit.templates.get(send.template_id) if send.template_id else None
        if message.contact is None and (kind.address or kind.device):
            message.skipped = "no_address"
        elif source is None:
            message.skipped = "no_template"
        elif kind.content == "provider_template" and not has_provider_template(source):
            message.skipped = "no_provider_template"
        elif kind.content == "mail" and message.required and not links["unsubscribe_url"]:
            message.skipped = "no_unsubscribe_link"
        else:
            message.content = content_of(kind, source, variables)
            if kind.content == "mail":
                finish_mail(message, links["unsubscribe_url"], kit)
    except TemplateInvalid as error:
        message.skipped = "template_error"
        message.content = {"error": str(error)}
    return message


def zone_name(facts: ProfileFacts, graph: Graph) -> str | None:
    """The person's zone, else the one that the journey names."""
    zone = known_zone(facts.traits, facts.identifiers)
    if zone is not None:
        return zone.key
    return graph.timezone if "timezone" in graph.model_fields_set else None


def address(kind: Kind, channel_id: UUID, facts: ProfileFacts, kit: Kit) -> str | None:
    """Where a message of this kind reaches the person; of a device its id, as tokens change."""
    config = kit.configs.get(channel_id, {})
    if kind.device is not None:
        app = config.get("app", "default")
        device = kit.devices.get((facts.asked_id, kind.device, app))
        return None if device is None else str(device)
    return None if kind.address is None else kind.address(facts, config)


def finish_mail(message: NewMessage, unsubscribe_url: str | None, kit: Kit) -> None:
    """The pixel and redirects that the channel asks for, and the link of RFC 8058."""
    if kit.tracker is not None:
        config = kit.configs.get(message.channel_id, {})
        message.content = kit.tracker.track(
            message.id,
            message.content,
            opens=wanted(config, "track_opens", message.purpose),
            clicks=wanted(config, "track_clicks", message.purpose),
        )
    if message.required:
        message.content["unsubscribe_url"] = unsubscribe_url


def has_provider_template(source: Parts) -> bool:
    return bool(source.extras and source.extras.get("provider_template"))


def content_of(kind: Kind, source: Parts, variables: Mapping[str, Any]) -> dict[str, Any]:
    """What a channel of this kind sends; parts that it does not send are not rendered."""
    if kind.content == "mail":
        parts = render_mail(source, variables)
        return {"subject": parts.subject, "text": parts.text, "html": parts.html}
    extras = render_extras(source.extras or {}, variables)
    if kind.content == "provider_template":
        return extras
    words = source if source.text is None else Parts(source.subject, source.text, None)
    parts = render_mail(words, variables)
    if kind.content == "text":
        return {"text": parts.text}
    return {"subject": parts.subject, "text": parts.text, **extras}


def links_of(message: NewMessage, facts: ProfileFacts, public_url: str) -> dict[str, Any]:
    """URLs that templates see; ``unsubscribe_url`` is None for what nobody can unsubscribe from."""
    if facts.links is None:
        return {"unsubscribe_url": None, "preferences_url": None, "confirm_urls": {}}
    base, tokens = f"{public_url}/v1", facts.links
    # The links asked for end consents to mail.
    mail = MEDIA.get(message.channel_type) == "email"
    token = tokens.unsubscribe.get(message.required[-1]) if mail and message.required else None
    return {
        "unsubscribe_url": f"{base}/unsubscribe/{token}" if token else None,
        "preferences_url": f"{base}/preferences/{tokens.preferences}",
        "confirm_urls": {k: f"{base}/confirm/{v}" for k, v in tokens.confirm.items()},
    }


def variables_of(participant: Participant, graph: Graph, facts: ProfileFacts) -> dict[str, Any]:
    """What templates see. Marketing to somebody who asked for general contents speaks of nothing
    they did."""
    trigger = participant.trigger
    general = facts.non_personalised and graph.purpose == "marketing"
    return {
        "profile": {
            "id": str(participant.profile_id),
            "user_id": next(iter(facts.identifiers.get("user_id", ())), None),
            "email": next(iter(facts.identifiers.get("email", ())), None),
            "traits": facts.traits,
        },
        "event": {
            "name": trigger.get("event"),
            "occurred_at": from_ms(trigger["at"]).isoformat(),
            "properties": {} if general else trigger.get("properties", {}),
        },
        "journey": {"name": graph.name},
        "context": participant.context,
    }
