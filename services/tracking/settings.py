"""What the tracking service is told by its environment."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.kit.settings import PostgresSettings
from services.tracking.log.kafka.target import Target, parse


class TrackingSettings(PostgresSettings):
    # A refused DSN may hold a password.
    model_config = SettingsConfigDict(env_prefix="TRACKING_", hide_input_in_errors=True)

    role: Literal["ingest", "store"] = Field(
        description="`ingest` accepts events (any number of processes); `store` is one process "
        "that sequences, loads and answers queries."
    )
    clickhouse_dsn: SecretStr | None = Field(
        None,
        description="`chdb:///absolute/path` or `clickhouse://…`; needed by the role `store`.",
    )
    clickhouse_read_dsn: SecretStr | None = Field(
        None,
        description="The same database as a user who may only read; absent: `clickhouse_dsn`. "
        "Queries are read-only in either case.",
    )
    clickhouse_cluster: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="Name of the cluster in the servers' `remote_servers`: tables are replicated, "
        "events sharded by subject (docs/clickhouse.md). Absent: a single node.",
    )
    seen_ids_dir: Path | None = Field(
        None,
        description="Directory of the files that remember message ids for at least 30 days; needed "
        "by the role `store`. Without them the ids are read from the log at the next start.",
    )
    log_dsn: SecretStr | None = Field(
        None,
        description="Where the event log is: `kafka://host:9092,host:9092/prefix`, any number of "
        "brokers; absent: this service's PostgreSQL. Choose before the first event: a log does not "
        "move. Options by `?`: `replication` (3), `min_insync` (2), `create_topics` (`true`), and "
        "librdkafka's `security.protocol`, `sasl.…` and `ssl.…`.",
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
        "removed once every reader is done with them. Not with a log on Kafka.",
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

    @field_validator("log_dsn")
    @classmethod
    def _names_brokers(cls, dsn: SecretStr | None) -> SecretStr | None:
        if dsn is not None:
            parse(dsn.get_secret_value())
        return dsn

    @model_validator(mode="after")
    def _one_kind_of_limit(self) -> Self:
        if self.kafka is not None and self.log_max_bytes is not None:
            raise ValueError(
                "TRACKING_LOG_MAX_BYTES: brokers do not tell how large a workspace's log is; "
                "limit its age by TRACKING_LOG_KEEP_DAYS"
            )
        return self

    @property
    def kafka(self) -> Target | None:
        """The brokers, where the log is there."""
        return None if self.log_dsn is None else parse(self.log_dsn.get_secret_value())
