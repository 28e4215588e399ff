"""``make env``: writes the `.env` that docker-compose.yml asks for, with new secrets in it."""

import argparse
import json
import secrets
import sys
from pathlib import Path

from infra.runner.files import write_private
from infra.runner.keys import SERVICES, create


def secrets_for(site: str) -> dict[str, str]:
    """Every variable docker-compose.yml refuses to start without. Passwords are safe in URLs."""
    keys = {service: create() for service in SERVICES}
    values = {
        "SITE_ADDRESS": site,
        "TRUSTED_KEYS": json.dumps({name: each.public_key for name, each in keys.items()}),
    }
    for service, each in keys.items():
        prefix = service.upper()
        values[f"{prefix}_SIGNING_KEY"] = each.signing_key
        values[f"{prefix}_OWNER_PASSWORD"] = each.owner_password
        values[f"{prefix}_APP_PASSWORD"] = each.app_password
    for service in ("profile", "orchestrator"):
        values[f"{service.upper()}_LINK_KEY"] = keys[service].hash_key
    for service in ("tracking", "profile"):
        values[f"{service.upper()}_ERASURE_KEY"] = keys[service].hash_key
    for name in ("POSTGRES_PASSWORD", "CLICKHOUSE_PASSWORD", "CLICKHOUSE_READER_PASSWORD"):
        values[name] = secrets.token_urlsafe(24)
    return values


def rendered(values: dict[str, str]) -> str:
    """In single quotes, which compose takes literally: JSON is full of double ones."""
    return "".join(f"{name}='{value}'\n" for name, value in values.items())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.dotenv", description=__doc__)
    parser.add_argument("--site", required=True, help="the public host name, cx.example.org")
    parser.add_argument("--file", type=Path, default=Path(".env"))
    arguments = parser.parse_args()
    if arguments.file.exists():
        print(f"{arguments.file} exists; its secrets are in use: not touched.", file=sys.stderr)
        return 1
    write_private(arguments.file, rendered(secrets_for(arguments.site)))
    print(f"Wrote {arguments.file} (readable by you only). Keep a copy: it cannot be made again.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
