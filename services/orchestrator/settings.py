"""Settings of the orchestrator, prefix ``ORCHESTRATOR_``."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.kit.settings import PostgresSettings


class OrchestratorSettings(PostgresSettings):
    model_config = SettingsConfigDict(env_prefix="ORCHESTRATOR_")

    tracking_ingest_url: str = Field(description="Where outcomes are told: tracking, role ingest.")
    tracking_store_url: str = Field(description="Where past events are read: tracking, role store.")
    profile_url: str = Field(description="The profile service: change feed, facts, rules.")
    assessment_url: str = Field(description="The assessment service: readiness.")
    public_url: str = Field(
        pattern=r"^https?://[^\s]+[^/\s]$",
        description="Where people reach the gateway: the start of the links in messages, without a "
        "slash at its end.",
        examples=["https://cx.example.org"],
    )
    link_key: SecretStr = Field(
        min_length=16,
        description="Secret that signs the pixel and the links of mails. Never change it and keep "
        "a copy: with another key the links of mails already sent are dead.",
    )
    allow_private_webhooks: bool = Field(
        False,
        description="Let webhooks reach loopback and private addresses. For one machine only: with "
        "it, whoever configures channels can reach everything this process can.",
    )
    feed_wait_seconds: float = Field(
        1.0,
        gt=0,
        le=10,
        description="Longest wait of one read of the feed; a wait's timeout is late by as much.",
    )
    wait_grace_seconds: float = Field(
        2.0,
        ge=0,
        le=60,
        description="How long after a wait's deadline it is held open for events that happened in "
        "time and are still on their way here.",
    )
    discovery_seconds: float = Field(
        1.0, gt=0, description="How often profile is asked for new partitions of its feed."
    )
    block_participants: int = Field(
        2_000, ge=1, le=10_000, description="Participants moved in one transaction, at most."
    )
    smtp_concurrency: int = Field(
        8, ge=1, le=100, description="SMTP connections per channel at the same time."
    )
    message_expiry_seconds: int = Field(
        86_400, ge=60, description="Messages not sent for so long are skipped as expired."
    )
    replay_batch: int = Field(
        5_000, ge=1, le=10_000, description="Reminders of a replay composed at once."
    )
