"""The documents without which browser clients send nothing. Pure.

They are public (the key stands in the page), so they hold nothing else that is not.
"""

import json
from typing import Any

BATCHING = {"strategy": "batching", "config": {"size": 10, "timeout": 1000}}
"""Up to 10 events or 1,000 ms per request: one preflight and one post instead of one per event."""

FLAGS: dict[str, Any] = {
    "featureFlags": {},
    "flags": {},
    "errorsWhileComputingFlags": False,
    "supportedCompression": ["gzip", "gzip-js"],
    "sessionRecording": False,
}


def posthog_script(token: str) -> str:
    """Where PostHog's browser client looks first; it asks for the same as JSON where this fails."""
    return (
        "(window._POSTHOG_REMOTE_CONFIG = window._POSTHOG_REMOTE_CONFIG || {})"
        f"[{json.dumps(token)}] = {{ config: {{}}, siteApps: [] }};"
    )


def segment_settings(key: str, scheme: str, host: str) -> dict[str, Any]:
    """For analytics.js and Segment's mobile clients; they post to ``{protocol}://{apiHost}/…``."""
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": key,
                "apiHost": f"{host}/v1",
                "protocol": scheme,
                "deliveryStrategy": BATCHING,
            }
        },
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "edgeFunction": {},
        "middlewareSettings": {},
        # Without this they post measurements of themselves.
        "metrics": {"sampleRate": 0},
    }


def source_config(source_id: str, workspace_id: str, key: str) -> dict[str, Any]:
    """For RudderStack's browser and mobile clients."""
    return {
        "source": {
            "id": source_id,
            "name": "Waymark",
            "writeKey": key,
            "enabled": True,
            "workspaceId": workspace_id,
            "config": {
                "statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}
            },
            "connections": [],
            "destinations": [],
            "dataplanes": {},
        },
        "consentManagementMetadata": {"providers": []},
    }
