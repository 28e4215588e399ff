"""Creates a workspace with a source and its keys: ``python -m gateway.bootstrap [--name NAME]``.

Prints one JSON object: ``{"workspace_id", "source_id", "write_key", "secret_key"}``. The keys are
stored nowhere but in that output. Needs ``GATEWAY_POSTGRES_DSN`` only.
"""

import argparse
import asyncio
import json
import sys

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.keys import service as keys
from gateway.keys.model import ApiKeyCreate
from gateway.sources import service as sources
from gateway.workspaces import store as workspaces
from services.kit.ids import uuid7
from services.kit.postgres import create_sessionmaker, workspace_tx

ACTOR = "bootstrap"


class BootstrapSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="GATEWAY_", extra="ignore", frozen=True)

    postgres_dsn: SecretStr = Field(description="SQLAlchemy URL, as the plain role.")


async def bootstrap(dsn: str, name: str) -> dict[str, str]:
    """The ids and keys of a new workspace called ``name``; all of it exists or nothing."""
    engine = create_async_engine(dsn)
    workspace_id = uuid7()
    try:
        async with workspace_tx(create_sessionmaker(engine), workspace_id) as session:
            await workspaces.add(session, workspace_id, name)
            source = await sources.create(session, workspace_id, uuid7(), "Default source", ACTOR)
            body = ApiKeyCreate(kind="secret", name="First secret key")
            secret = await keys.create(session, workspace_id, body, ACTOR)
    finally:
        await engine.dispose()
    return {
        "workspace_id": str(workspace_id),
        "source_id": str(source.id),
        "write_key": source.write_key,
        "secret_key": secret.key,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.bootstrap", description=__doc__)
    parser.add_argument("--name", default="Default", help="the name of the workspace")
    arguments = parser.parse_args()
    settings = BootstrapSettings()
    made = asyncio.run(bootstrap(settings.postgres_dsn.get_secret_value(), arguments.name))
    sys.stdout.write(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
