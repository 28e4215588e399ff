"""Which path belongs to whom. The whole table of public addresses stands here."""

from dataclasses import dataclass

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
}
"""Public ingestion path → tracking's path. All POST; each also with a trailing slash."""

_SERVICES = {
    "gateway": ("keys", "sources", "workspaces", "audit-log"),
    "profile": (
        "profiles",
        "segments",
        "accounts",
        "computed-traits",
        "stages",
        "consents",
        "subscription-groups",
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
        "journeys",
        "message-templates",
        "channels",
        "messages",
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


@dataclass(frozen=True, slots=True)
class Ingestion:
    """An SDK's call; ``path`` is where tracking takes it."""

    path: str


@dataclass(frozen=True, slots=True)
class Api:
    """A call of the API that ``service`` answers (``gateway``: this process)."""

    service: str


def route(path: str) -> Ingestion | Api | None:
    """Who answers ``path``; None for everything that is neither ingestion nor a known resource."""
    ingestion = INGESTION.get(path) or INGESTION.get(path.removesuffix("/"))
    if ingestion is not None:
        return Ingestion(ingestion)
    if not path.startswith(API):
        return None
    parts = path[len(API) :].split("/")
    if parts[0] == "profiles" and len(parts) > 2 and parts[2] == "events":
        # A person's timeline is made of events, which only tracking holds.
        return Api("tracking")
    service = _OWNERS.get(parts[0])
    return None if service is None else Api(service)
