"""What the demo is told by its environment."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DemoSettings(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    data_dir: Path = Field(
        Path(".data"),
        description="The instance's data; `make run` on the same directory shows it again.",
    )
