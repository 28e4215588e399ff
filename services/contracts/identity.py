"""The identity policy on the wire: which identifiers of people a workspace knows, as data."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_CUSTOM = 20
"""Namespaces of a workspace's own, beside the built-in ones."""

Kind = Literal["id", "email", "phone"]
ConflictReason = Literal["two_user_ids", "limit", "too_many_identifiers", "too_many_merges"]

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.\-]{0,63}$")]
BlockedValue = Annotated[str, Field(min_length=1, max_length=255)]
BlockedPattern = Annotated[str, Field(min_length=1, max_length=200)]


class Limit(BaseModel):
    """How many identifiers of a namespace may come to one profile within a time."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(ge=1, le=1000, examples=[5])
    window_days: int | None = Field(
        None, ge=1, le=3650, description="By the time of the events; null: for ever."
    )


_PLACEHOLDERS: Final = (
    *("-1", "null", "none", "nil", "nan", "undefined", "anonymous", "guest"),
    *("[object Object]", "true", "false"),
)


class Blocked(BaseModel):
    """Values that identify nobody. An identifier with such a value is left out of the event."""

    model_config = ConfigDict(extra="forbid")

    values: list[BlockedValue] = Field(
        default_factory=lambda: [*_PLACEHOLDERS],
        max_length=1000,
        description="Whole values, upper and lower case alike.",
    )
    patterns: list[BlockedPattern] = Field(
        default_factory=lambda: ["^[0-]*$"],
        max_length=20,
        description="Regular expressions in Rust's syntax, which run in linear time: without "
        "look-around and back references. They match anywhere unless anchored by `^` and `$`; "
        "`(?i)` in front ignores case.",
        examples=[["^[0-]*$", "@example\\.com$"]],
    )


class Namespace(BaseModel):
    """One kind of identifier. What is left out of a built-in one is as in the built-in policy."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(
        description="`user_id`, `anonymous_id`, `email` and `phone` come from their own fields; "
        "every name but `user_id` is also the `type` of an entry of `context.externalIds`.",
        examples=["loyalty_card"],
    )
    kind: Kind = Field(
        "id", description="How values are compared: as they are, as addresses, or as E.164 numbers."
    )
    limit: Limit = Field(default_factory=lambda: Limit(count=5, window_days=365))
    blocked: Blocked = Field(default_factory=Blocked)
    fold_case: bool = Field(
        False, description="`ABC` and `abc` are the same. Addresses always are, whatever it says."
    )
    region: str | None = Field(
        None,
        pattern=r"^[A-Z]{2}$",
        description="Of the kind `phone`: the country (ISO 3166) of numbers without a country "
        "code; null: such numbers identify nobody.",
        examples=["CN"],
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        name = given.get("name") if isinstance(given, dict) else None
        return {**_BUILT_IN.get(name, {}), **given} if isinstance(name, str) else given


def _limit(count: int, window_days: int | None = 365) -> dict[str, Any]:
    return {"limit": {"count": count, "window_days": window_days}}


_BUILT_IN: Final[dict[str, dict[str, Any]]] = {
    "user_id": _limit(1, None),
    "email": {"kind": "email", **_limit(5)},
    "phone": {"kind": "phone", **_limit(5)},
    "unionid": _limit(5),
    "external_userid": _limit(5),
    # One per official account and mini program.
    "openid": _limit(10),
    "device_id": _limit(10),
    # Browsers forget theirs after days, so one person has many, but hardly this many in a week:
    # that is a shared screen, or a server that makes up one for each request.
    "anonymous_id": _limit(5, 7),
}


class IdentityPolicy(BaseModel):
    """``PUT /internal/v1/identity-policy`` of tracking: profile tells what it decided."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=0, description="0 is the built-in policy; each change counts one up.")
    namespaces: list[Namespace] = Field(
        min_length=1,
        max_length=len(_BUILT_IN) + MAX_CUSTOM,
        description="By falling priority: the first one an event carries makes its subject.",
    )


class IdentityPolicyTaken(BaseModel):
    version: int = Field(description="The newest one that tracking has.")


BUILT_IN: Final = IdentityPolicy(
    version=0, namespaces=[Namespace.model_validate({"name": name}) for name in _BUILT_IN]
)
BUILT_IN_KINDS: Final[dict[str, Kind]] = {n.name: n.kind for n in BUILT_IN.namespaces}
