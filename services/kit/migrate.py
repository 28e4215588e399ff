"""Runs services' migrations: ``python -m services.kit.migrate services.profile [gateway …]``.

Reads the owner's DSN from ``<PREFIX>_POSTGRES_OWNER_DSN`` (the plain role may not change tables).
The prefix is the last part of the package's name.
"""

import asyncio
import sys
from importlib.resources import files
from pathlib import Path

from alembic import op
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine


class OwnerSettings(BaseSettings):
    postgres_owner_dsn: SecretStr = Field(description="SQLAlchemy URL as the owner of the tables.")


def fence(table: str) -> None:
    """In a migration: rows of ``table`` are seen and written only within their workspace."""
    op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
    op.execute(
        f'CREATE POLICY "{table}_workspace" ON "{table}" USING '
        "(workspace_id = nullif(current_setting('app.workspace_id', true), '')::uuid)"
    )


def _scripts(package: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(str(files(package))) / "migrations"))
    return config


async def upgrade(package: str, dsn: str, revision: str = "head") -> None:
    """Brings the database at ``dsn`` to ``revision`` in one transaction per migration."""
    config = _scripts(package)
    script = ScriptDirectory.from_config(config)

    def run(connection: Connection) -> None:
        with EnvironmentContext(
            config,
            script,
            fn=lambda rev, _: script._upgrade_revs(revision, rev),
            destination_rev=revision,
        ) as environment:
            environment.configure(connection=connection, transaction_per_migration=True)
            with environment.begin_transaction():
                environment.run_migrations()

    engine = create_async_engine(dsn)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
            await connection.commit()
    finally:
        await engine.dispose()


def main(package: str) -> None:
    prefix = package.rpartition(".")[2].upper() + "_"

    class Settings(OwnerSettings):
        model_config = SettingsConfigDict(env_prefix=prefix)

    dsn = Settings().postgres_owner_dsn.get_secret_value()
    asyncio.run(upgrade(package, dsn))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(argument)
