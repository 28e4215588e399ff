"""People in bulk → identify calls for the log of events, line by line. Pure."""

import hashlib
from typing import Annotated, Any, Final, Self

import msgspec
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from services.contracts.profile import ConsentState
from services.identifiers import Policy
from services.profile.stream.say import naming
from services.profile.traits.check import escaped, objections
from services.profile.traits.policy import Rules

Text = Annotated[str, Field(min_length=1, max_length=255)]
_CONTACTS = ("email", "phone")
MAX_IDENTIFIERS = 20
"""Of one line: an event names nobody by more external ids."""


class PersonIdentifiers(BaseModel):
    """By namespace; any of the workspace's identity policy is accepted."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Text] = Field(init=False)

    user_id: Text | None = None
    email: Text | None = None
    phone: Text | None = Field(None, description="With the country's prefix: `+49 221 1234`.")
    anonymous_id: Text | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not 0 < len(self.model_dump(exclude_none=True)) <= MAX_IDENTIFIERS:
            raise ValueError(f"1 to {MAX_IDENTIFIERS} identifiers are accepted")
        return self


EXAMPLE: Final = {
    "identifiers": {"user_id": "crm-42", "email": "ada@example.com"},
    "traits": {"plan": "pro", "coupon": None},
    "consents": {"marketing": "granted"},
    "at": "2026-03-01T09:30:00Z",
}


class PersonImport(BaseModel):
    """What a system knew of a person at a time."""

    model_config = ConfigDict(extra="forbid")

    identifiers: PersonIdentifiers = Field(
        description="Whose traits these are, by any namespaces of the identity policy. Email and "
        "phone become traits, too."
    )
    traits: dict[Annotated[str, Field(min_length=1, max_length=200)], Any] = Field(
        default_factory=dict, max_length=500, description="By name; null deletes a trait."
    )
    consents: dict[Annotated[str, Field(min_length=1, max_length=200)], ConsentState] = Field(
        default_factory=dict, max_length=100, description="By purpose."
    )
    at: AwareDatetime = Field(
        description="When the system knew it: an older line never undoes a newer one. The future "
        "counts as now."
    )


def schema() -> dict[str, Any]:
    """The JSON schema of a line in one piece: OpenAPI has no place for its parts."""
    whole = PersonImport.model_json_schema()
    named = whole["properties"]["identifiers"]
    whole["properties"]["identifiers"] = {
        **whole.pop("$defs")["PersonIdentifiers"],
        "description": named["description"],
    }
    return whole


class Refusal(Exception):
    """A line that cannot be taken. ``pointer``: JSON pointer into it."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.detail = detail


def call(raw: Any, source_id: str, rules: Rules, policy: Policy) -> dict[str, Any]:
    """The identify call of one decoded line; raises ``Refusal``."""
    person = _person(raw)
    named = person.identifiers.model_dump(exclude_none=True)
    traits: dict[str, Any] = dict(person.traits)
    for namespace, value in named.items():
        pointer = f"#/identifiers/{escaped(namespace)}"
        if namespace not in policy.names:
            raise Refusal(pointer, f"One of {', '.join(policy.names)} is accepted.")
        normal = policy.normalise(namespace, value)
        if normal is None:
            raise Refusal(pointer, f"This is no usable {namespace}.")
        if namespace not in _CONTACTS:
            continue
        if policy.normalise(namespace, traits.setdefault(namespace, value)) != normal:
            raise Refusal(f"#/traits/{namespace}", f"Not the {namespace} among the identifiers.")
    for name, detail in objections(traits, rules, source=source_id).items():
        raise Refusal(f"#/traits/{escaped(name)}", detail)
    states = {purpose: state == "granted" for purpose, state in person.consents.items()}
    at = person.at.isoformat()
    who = naming({n: value for n, value in named.items() if n not in _CONTACTS})
    consent = {"consent": {"categoryPreferences": states}} if states else {}
    said = {
        "type": "identify",
        **who,
        "timestamp": at,
        "channel": "server",
        "traits": traits,
        "context": {**who.get("context", {}), **consent},
    }
    digest = hashlib.blake2b(msgspec.json.encode(said, order="deterministic"), digest_size=16)
    return {**said, "messageId": f"import-{digest.hexdigest()}"}


def _person(raw: Any) -> PersonImport:
    try:
        return PersonImport.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        pointer = "/".join(["#", *(escaped(str(part)) for part in first["loc"])])
        raise Refusal(pointer, first["msg"].removeprefix("Value error, ")) from error
