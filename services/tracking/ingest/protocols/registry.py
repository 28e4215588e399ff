"""The adapters by the names that the quarantine keeps."""

from services.tracking.ingest.protocols import cloudevents, jitsu, posthog, rudderstack
from services.tracking.ingest.protocols.call import Adapter

PROTOCOLS: dict[str, Adapter] = {
    "cloudevents": cloudevents.calls,
    "jitsu": jitsu.calls,
    "merge": rudderstack.calls,
    "posthog": posthog.calls,
}
"""Of bodies under ``/v1/{name}``."""
ADAPTERS = PROTOCOLS | {"posthog-events": posthog.events}
"""All of them."""
