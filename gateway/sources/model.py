"""Sources on the wire."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from gateway.keys.model import Name
from gateway.paging import Identified


class Source(Identified):
    """A place events come from: a web shop, an app, a partner's system."""

    name: str = Field(examples=["Web shop"])
    created_at: datetime


class SourceCreated(Source):
    write_key: str = Field(
        description="The first write key of the source. It is shown this once.",
        examples=["wk_0199f0c25a527c3e9f3a0d6f1f1c2b7a_(43 letters and digits)"],
    )


class SourceCreate(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Web shop"}]}
    )

    name: Name
