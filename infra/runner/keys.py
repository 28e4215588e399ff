"""The secrets an instance makes for itself at its first start and keeps under `keys/`."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from infra.runner.files import private_directory, read_json, write_private
from services.kit.keys import generate_key

SERVICES = ("gateway", "tracking", "profile", "orchestrator", "assessment")


@dataclass(frozen=True)
class ServiceKeys:
    """One service's secrets: its private JWK (JSON), the passwords of its two database roles, and
    the key of hashes that must mean the same for ever."""

    signing_key: str
    public_key: dict[str, str]
    owner_password: str
    app_password: str
    hash_key: str


def load_or_create(directory: Path) -> dict[str, ServiceKeys]:
    """Every service's keys, read from `directory` (files of mode 0600) or made there."""
    private_directory(directory)
    return {service: _service(directory / f"{service}.json") for service in SERVICES}


def trusted_keys(keys: dict[str, ServiceKeys]) -> str:
    """The public keys of all services by issuer, as JSON for `…_TRUSTED_KEYS`."""
    return json.dumps({service: each.public_key for service, each in keys.items()})


def create() -> ServiceKeys:
    signing_key, public_key = generate_key()
    return ServiceKeys(signing_key, public_key, *(secrets.token_urlsafe(24) for _ in range(3)))


def _service(path: Path) -> ServiceKeys:
    # Instances from before a secret was added get that one alone.
    stored = read_json(path) or {}
    keys = ServiceKeys(**{**create().__dict__, **stored})
    if keys.__dict__ != stored:
        write_private(path, json.dumps(keys.__dict__))
    return keys
