"""Settings every service has. A service subclasses these and sets its own prefix."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Frozen; read from the environment only, so that a stray file never changes a process."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    log_level: str = Field("INFO", description="Lowest level that is logged.")
    signing_key: SecretStr = Field(
        description="Private Ed25519 key (JWK, JSON) this service signs its internal tokens with."
    )
    trusted_keys: dict[str, dict[str, str]] = Field(
        description="Public Ed25519 keys (JWK) of the callers to accept, by issuer name, as JSON."
    )


class PostgresSettings(ServiceSettings):
    postgres_dsn: SecretStr = Field(
        description="SQLAlchemy URL of this service's own database, as the plain role."
    )
    postgres_pool_size: int = Field(10, ge=1, description="Connections kept per process.")
