"""The adapters by name: the last part of tracking's path, which the quarantine keeps as well."""

from services.tracking.ingest.protocols import cloudevents, jitsu, posthog, rudderstack
from services.tracking.ingest.protocols.call import Adapter

PROTOCOLS: dict[str, Adapter] = {
    "cloudevents": cloudevents.calls,
    "jitsu": jitsu.calls,
    "merge": rudderstack.calls,
    "posthog": posthog.calls,
}
