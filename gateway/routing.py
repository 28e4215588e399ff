"""Which path belongs to whom. The whole table of public addresses stands here."""

import re
from dataclasses import dataclass
from typing import Literal

Family = Literal["segment", "posthog", "jitsu", "cloudevents", "webhook"]
"""Whose clients call: families differ in where they put the write key."""

INGESTION = {
    "/v1/identify": "/v1/identify",
    "/v1/track": "/v1/track",
    "/v1/page": "/v1/page",
    "/v1/screen": "/v1/screen",
    "/v1/group": "/v1/group",
    "/v1/alias": "/v1/alias",
    "/v1/batch": "/v1/batch",
    # The default path of Segment's Java and Ruby clients; its body is a batch.
    "/v1/import": "/v1/batch",
    # What the browser and mobile clients call the same.
    "/v1/i": "/v1/identify",
    "/v1/t": "/v1/track",
    "/v1/p": "/v1/page",
    "/v1/s": "/v1/screen",
    "/v1/g": "/v1/group",
    "/v1/a": "/v1/alias",
    "/v1/b": "/v1/batch",
    # What mobile clients call where their host is given without a version.
    "/b": "/v1/batch",
    "/import": "/v1/batch",
    # RudderStack's own.
    "/v1/merge": "/v1/merge",
    "/beacon/v1/batch": "/v1/batch",
    # Jitsu 2 sends Segment's calls under other names.
    **{
        f"/api/s/{kind}{call}": f"/v1/{call}"
        for kind in ("", "s2s/")
        for call in ("identify", "track", "page", "screen", "group", "alias", "batch")
    },
    "/v1/jitsu": "/v1/jitsu",
    "/api/v1/s2s/event": "/v1/jitsu",
    "/v1/posthog": "/v1/posthog",
    "/batch": "/v1/posthog",
    "/e": "/v1/posthog",
    "/capture": "/v1/posthog",
    "/i/v0/e": "/v1/posthog",
    "/i/v1/analytics/events": "/i/v1/analytics/events",
    "/v1/cloudevents": "/v1/cloudevents",
    "/cloudevents": "/v1/cloudevents",
    "/v1/webhooks": "/v1/webhooks",
    # RudderStack's name for it.
    "/v1/webhook": "/v1/webhooks",
}
"""Public ingestion path → tracking's path. All POST; each also with a trailing slash."""

_SERVICES = {
    "gateway": ("keys", "sources", "workspaces", "audit-log"),
    "profile": (
        "profiles",
        "trait-definitions",
        "trait-refusals",
        "trait-settings",
        "merges",
        "segments",
        "changes",
        "change-subscriptions",
        "accounts",
        "account-segments",
        "computed-traits",
        "stages",
        "consents",
        "subscription-groups",
        "identity-policy",
        "conflicts",
        "predictions",
        "clusterings",
        "rfm",
        "erasures",
        "suppressions",
        "profile-exports",
    ),
    "tracking": (
        "tracking-plans",
        "quarantine",
        "events",
        "touchpoints",
        "surveys",
        "exports",
        "analytics",
        "metrics-registry",
    ),
    "orchestrator": (
        "maps",
        "personas",
        "opportunities",
        "map-templates",
        "journey-files",
        "journeys",
        "message-templates",
        "channels",
        "devices",
        "messages",
        "suppressed-contacts",
        "tasks",
        "inbox",
        "policies",
        "experiments",
        "holdouts",
    ),
    "assessment": (
        "assessments",
        "questionnaires",
        "readiness",
        "roadmaps",
        "capabilities",
        "it-systems",
        "teams",
    ),
}
_OWNERS = {name: service for service, names in _SERVICES.items() for name in names}
API = "/api/v1/"
_OTHERWISE = {
    # A person's timeline is made of events, which only tracking holds.
    ("profiles", "events"): "tracking",
    ("accounts", "events"): "tracking",
    # How a partner's JSON becomes events is a matter of ingestion.
    ("sources", "webhook"): "tracking",
}
"""Below ``/api/v1/{collection}/{id}/{…}``: what another service than the collection's answers."""


_FAMILIES: dict[str, Family] = {
    "/v1/posthog": "posthog",
    "/i/v1/analytics/events": "posthog",
    "/v1/jitsu": "jitsu",
    "/v1/cloudevents": "cloudevents",
    "/v1/webhooks": "webhook",
}
# Partners' forms often take a URL and nothing else.
_KEYED_WEBHOOK = re.compile(r"/v1/webhooks/(?P<key>[^/]{1,200})/?")
# Links in messages: no key, no login; the token in the path says who may do what.
_LINKS = re.compile(r"(?P<shown>/v1/(?:unsubscribe|preferences|confirm)/)[^/]{1,1000}")
# The pixel and the redirects of mails, whose tokens hold the address they lead to; and where
# providers say what became of messages.
_TRACKED = re.compile(r"(?P<shown>/v1/(?:[oc]|callbacks)/)[^/]{1,4000}")
_FRONT = re.compile(r"/v1/inbox(?:/[^/]{1,64}){0,2}")
_SERVER_SIDE = ("/api/s/s2s/", "/api/v1/s2s/")
_OPEN = re.compile(
    r"(?P<settings>(?:/v1)?/projects/)[^/]+/settings/?"
    r"|/sourceConfig/?"
    r"|/p\.js"
    r"|(?P<array>/array/)[^/]+/config(?:/|\.js)?"
    r"|/flags/?|/decide/?"
    r"|(?:/v1)?/m/?"
    r"|(?:/v1/pixel|/pixel/v1)/[^/]+/?"
)


@dataclass(frozen=True, slots=True)
class Ingestion:
    """An SDK's call; ``path`` is where tracking takes it."""

    path: str
    family: Family = "segment"
    server_side: bool = False
    """Only servers call here, whose clocks are right."""
    key: str | None = None
    """The write key, where it stands in the path."""
    shown: str | None = None
    """The path as logs may show it, where it holds a key."""


@dataclass(frozen=True, slots=True)
class Open:
    """What pages of any origin ask this process for: configuration of clients, pixels.

    ``shown``: the path as logs may show it, since it can hold a key.
    """

    shown: str


@dataclass(frozen=True, slots=True)
class Link:
    """A call that a token in its path allows; ``service`` checks it. ``shown``: as in ``Open``."""

    service: str
    shown: str


@dataclass(frozen=True, slots=True)
class Api:
    """A call of the API that ``service`` answers (``gateway``: this process)."""

    service: str


@dataclass(frozen=True, slots=True)
class Front:
    """A call of a front end that ``service`` answers: a write key says which workspace, and a token
    that the service checks who."""

    service: str


Target = Ingestion | Open | Link | Front | Api | None


def route(path: str) -> Target:
    """Who answers ``path``; None for everything that is neither ingestion nor a known resource."""
    ingestion = INGESTION.get(path) or INGESTION.get(path.removesuffix("/"))
    if ingestion is not None:
        family = _FAMILIES.get(ingestion, "segment")
        return Ingestion(ingestion, family, path.startswith(_SERVER_SIDE))
    if (found := _KEYED_WEBHOOK.fullmatch(path)) is not None:
        return Ingestion("/v1/webhooks", "webhook", key=found["key"], shown="/v1/webhooks/…")
    if (found := _LINKS.fullmatch(path)) is not None:
        return Link("profile", f"{found['shown']}…")
    if (found := _TRACKED.fullmatch(path)) is not None:
        return Link("orchestrator", f"{found['shown']}…")
    if _FRONT.fullmatch(path) is not None:
        return Front("orchestrator")
    if (found := _OPEN.fullmatch(path)) is not None:
        keyed = found["settings"] or found["array"]
        return Open(f"{keyed}…" if keyed else path)
    if not path.startswith(API):
        return None
    parts = path[len(API) :].split("/")
    inner = parts[2] if len(parts) > 2 else ""
    service = _OTHERWISE.get((parts[0], inner)) or _OWNERS.get(parts[0])
    return None if service is None else Api(service)
