"""Why a statement about a trait is left out, in words for people. Pure."""

from typing import Literal, get_args

from services.profile.profiles.traits import (
    MAX_NAME_LENGTH,
    MAX_PROFILE_BYTES,
    MAX_TRAITS,
    Excess,
)
from services.profile.traits.policy import Refusal
from services.profile.traits.size import MAX_DEPTH, MAX_VALUE_BYTES

Reason = Literal[Refusal, Excess]

TEXTS: dict[Reason, str] = {
    "not_registered": "Only registered traits are taken here; register it first.",
    "wrong_type": "The value does not fit the trait's definition.",
    "consent_missing": "The person has not granted the purpose that the trait needs.",
    "name_too_long": f"A name has at most {MAX_NAME_LENGTH} characters.",
    "too_deep": f"A value is nested at most {MAX_DEPTH} levels deep.",
    "value_too_large": f"A value has at most {MAX_VALUE_BYTES} bytes.",
    "too_many_traits": f"A profile has at most {MAX_TRAITS} traits, deleted ones included.",
    "profile_too_large": f"The traits of a profile have at most {MAX_PROFILE_BYTES} bytes.",
}
assert TEXTS.keys() == set(get_args(Reason))
