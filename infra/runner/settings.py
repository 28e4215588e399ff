"""What the local runner is told by its environment."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class RunnerSettings(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    port: int = Field(
        8080, ge=0, le=65535, description="Public port of the gateway; 0 takes a free one."
    )
    data_dir: Path = Field(
        Path(".data"), description="Everything this instance keeps; one instance per directory."
    )

    @field_validator("data_dir")
    @classmethod
    def _fits_an_address(cls, value: Path) -> Path:
        # chDB's address is a URL whose path is taken as it is: these two would end it.
        if set(str(value)) & set("?#"):
            raise ValueError("a path without ? and #")
        return value.absolute()
