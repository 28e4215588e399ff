"""What the local runner is told by its environment."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RunnerSettings(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    port: int = Field(
        8080, ge=0, le=65535, description="Public port of the gateway; 0 takes a free one."
    )
    data_dir: Path = Field(
        Path(".data"), description="Everything this instance keeps; one instance per directory."
    )
