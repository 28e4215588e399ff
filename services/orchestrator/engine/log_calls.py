"""Effects as the calls that an SDK would send for the person. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from services.orchestrator.engine.participants import Participant
from services.orchestrator.journeys.effects import Emitted, TraitsSet
from services.orchestrator.message_templates.render import render_payload
from services.orchestrator.times import from_ms

SOURCE = "orchestrator"
_KEYS = {"user_id": "userId", "anonymous_id": "anonymousId"}
_ORDER = ("user_id", "anonymous_id")


def call_of(
    participant: Participant,
    effect: Emitted | TraitsSet,
    identifiers: Mapping[str, Sequence[str]],
    variables: Mapping[str, Any],
) -> dict[str, Any] | None:
    """The call; None where the person has nothing to be named by. Raises ``TemplateInvalid``.

    Its message id names the visit, so tracking takes it once however often it is told.
    """
    named = _naming(identifiers)
    if named is None:
        return None
    call = {
        **named,
        "messageId": f"{participant.id}:{effect.node}:{effect.visit}",
        "timestamp": from_ms(effect.at).astimezone(UTC).isoformat(),
    }
    if isinstance(effect, TraitsSet):
        traits = render_payload(effect.traits, variables, "traits")
        return {**call, "type": "identify", "traits": traits}
    properties = render_payload(effect.properties, variables, "properties")
    return {**call, "type": "track", "event": effect.event, "properties": properties}


def _naming(identifiers: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
    """By the identifier that never belongs to somebody else, where there is one."""
    known = [name for name in (*_ORDER, *sorted(identifiers)) if identifiers.get(name)]
    if not known:
        return None
    name, value = known[0], identifiers[known[0]][0]
    if name in _KEYS:
        return {_KEYS[name]: value}
    return {"context": {"externalIds": [{"type": name, "id": value}]}}
