"""Settings of the profile service, prefix ``PROFILE_``."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.kit.settings import PostgresSettings


class ProfileSettings(PostgresSettings):
    model_config = SettingsConfigDict(env_prefix="PROFILE_")

    tracking_store_url: str = Field(
        description="Base URL of tracking in the role store, whose event log is followed."
    )
    tracking_ingest_url: str = Field(
        description="Base URL of tracking in the role ingest, which appends what is said through "
        "this service's API to the log."
    )
    orchestrator_url: str = Field(
        description="Base URL of the orchestrator, whose send gate closes before a withdrawal is "
        "answered, and which is asked what a merge did to journeys, for a person's messages, and "
        "told whom to erase."
    )
    link_key: SecretStr = Field(
        min_length=16,
        description="Secret that signs the links of messages (unsubscribe, preferences, confirm). "
        "Never change it and keep a copy: with another key the links of mails already sent are "
        "dead.",
    )
    erasure_key: SecretStr = Field(
        min_length=16,
        description="Secret under which erased people are remembered by hashes alone. Never change "
        "it and keep a copy: with another key their late events are taken again.",
    )
    erasure_rest_minutes: float = Field(
        60,
        ge=0,
        description="At least so long after tables were written anew without erased rows they are "
        "again: nothing of a table can be read or written meanwhile.",
    )
    discovery_seconds: float = Field(
        1.0, gt=0, description="How often tracking is asked for new partitions of its log."
    )
    block_rows: int = Field(
        200, ge=1, le=1000, description="Log rows read, and applied in one transaction, at most."
    )
    allow_private_subscriptions: bool = Field(
        False, description="Whether changes may be sent to addresses that are not public."
    )
