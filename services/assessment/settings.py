"""What the assessment service is told by its environment."""

from pydantic_settings import SettingsConfigDict

from services.kit.settings import PostgresSettings


class AssessmentSettings(PostgresSettings):
    model_config = SettingsConfigDict(env_prefix="ASSESSMENT_")
