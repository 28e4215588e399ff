"""Devices as the API takes and shows them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

DeviceKind = Literal["fcm", "apns", "webpush"]
_BASE64URL = r"^[A-Za-z0-9_-]+=*$"


class SubscriptionKeys(BaseModel):
    model_config = ConfigDict(extra="forbid")

    p256dh: str = Field(min_length=87, max_length=90, pattern=_BASE64URL)
    auth: str = Field(min_length=22, max_length=24, pattern=_BASE64URL)


class Subscription(BaseModel):
    """What a browser's `PushSubscription.toJSON()` gives."""

    model_config = ConfigDict(extra="ignore")

    endpoint: HttpUrl = Field(
        max_length=2_000, examples=["https://push.example.org/p/JzLQ3raZJfFB"]
    )
    keys: SubscriptionKeys


class DevicePut(BaseModel):
    """A device, known by its token or subscription."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "profile_id": "019a214e-7c5e-7bd1-8d7e-4d1c2f3a5b60",
                    "kind": "fcm",
                    "app": "com.example.shop",
                    "token": "cGVyc29uLWRldmljZS10b2tlbg",
                }
            ]
        },
    )

    profile_id: UUID
    kind: DeviceKind
    app: str = Field(
        "default", max_length=200, pattern=r"^[A-Za-z0-9._-]+$", description="Which of your apps."
    )
    token: str | None = Field(
        None,
        min_length=1,
        max_length=4_096,
        pattern=r"^[!-~]+$",
        description="FCM's registration token, or the device token of APNs in hexadecimal.",
    )
    subscription: Subscription | None = Field(None, description="Of kind `webpush`.")

    @model_validator(mode="after")
    def _fits(self) -> "DevicePut":
        if (self.kind == "webpush") != (self.subscription is not None) or (
            self.kind == "webpush"
        ) == (self.token is not None):
            raise ValueError("webpush takes a subscription, every other kind a token")
        return self


class Device(BaseModel):
    """A device, without what is needed to reach it."""

    id: UUID
    profile_id: UUID
    kind: DeviceKind
    app: str
    created_at: datetime
    last_seen_at: datetime
