"""The settings of the gateway; each is an environment variable with the prefix ``GATEWAY_``."""

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from services.kit.settings import PostgresSettings


class GatewaySettings(PostgresSettings):
    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    tracking_ingest_url: str = Field(
        description="Where tracking's ingest role listens; several addresses by commas share the "
        "load and stand in for each other.",
        examples=["http://127.0.0.1:9001,http://127.0.0.1:9002"],
    )
    tracking_store_url: str = Field(description="Where tracking's store role listens.")
    profile_url: str = Field(description="Where profile listens.")
    orchestrator_url: str = Field(description="Where orchestrator listens.")
    assessment_url: str = Field(description="Where assessment listens.")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port for /metrics on 127.0.0.1; absent: not served."
    )
    upstream_read_timeout_seconds: float = Field(
        60.0, gt=0, description="How long a service may stay silent before its answer is given up."
    )
    ingest_read_timeout_seconds: float = Field(
        12.0,
        gt=0,
        description="The same for tracking's ingest role, which answers 503 itself when its log "
        "has not taken an event within 10 seconds. SDKs wait some 15 seconds.",
    )

    @field_validator("tracking_ingest_url")
    @classmethod
    def _some_address(cls, value: str) -> str:
        if not any(part.strip() for part in value.split(",")):
            raise ValueError("name at least one address")
        return value
