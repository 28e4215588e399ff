"""What the tracking service is told by its environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.kit.settings import PostgresSettings


class TrackingSettings(PostgresSettings):
    model_config = SettingsConfigDict(env_prefix="TRACKING_")

    role: Literal["ingest", "store"] = Field(
        description="`ingest` accepts events (any number of processes); `store` is one process "
        "that sequences, loads and answers queries."
    )
    clickhouse_dsn: SecretStr | None = Field(
        None,
        description="`chdb:///absolute/path` or `clickhouse://…`; needed by the role `store`.",
    )
    clickhouse_read_dsn: SecretStr | None = Field(
        None, description="The same database as a read-only user; absent: `clickhouse_dsn`."
    )
    seen_ids_dir: Path | None = Field(
        None,
        description="Directory of the files that remember message ids for at least 30 days; needed "
        "by the role `store`. Without them the ids are read from the log at the next start.",
    )
    log_readers: tuple[str, ...] = Field(
        ("profile",),
        description="Services that read the log: it is kept until each of them is done with it.",
    )
    log_keep_days: float | None = Field(
        35,
        gt=0,
        description="Log rows older than this are removed once every reader is done with them; "
        "`null` keeps them. Duplicates are remembered from the log if `seen_ids_dir` is lost.",
    )
    log_max_bytes: int | None = Field(
        None,
        gt=0,
        description="Compressed bytes of a workspace's log beyond which its oldest rows are "
        "removed once every reader is done with them.",
    )
    quarantine_keep_days: float | None = Field(
        30, gt=0, description="Refused events older than this are removed; `null` keeps them."
    )
    erasure_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Secret under which erased people are remembered by hashes alone; needed by "
        "the role `store`. Never change it and keep a copy: with another key their late events "
        "are taken again.",
    )
    erasure_rest_minutes: float = Field(
        60,
        ge=0,
        description="At least so long after erased bytes were removed from the files it is done "
        "again: PostgreSQL writes the log anew for it and takes no event meanwhile.",
    )
    profile_url: str | None = Field(
        None, description="Base URL of the profile service, whose feed the identity map follows."
    )
