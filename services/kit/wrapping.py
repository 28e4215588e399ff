"""Takes off what browsers wrap around JSON: form fields and base64. Pure."""

import base64
import binascii
from urllib.parse import parse_qsl

from services.kit.problems import MalformedBody

_FIELD = b"data="


def unwrap(body: bytes) -> bytes:
    """The JSON of a body that may be the form field ``data`` and may be in base64.

    Some clients send ``data=<base64>`` under any content type. Other bodies come back as they are.
    Raises ``MalformedBody`` where a field is neither JSON nor base64.
    """
    text = body.lstrip()
    if text[:1] in (b"{", b"["):
        return body
    if text.startswith(_FIELD) or b"&" + _FIELD in text:
        return unwrap_field(_field(text))
    return body


def unwrap_field(value: str) -> bytes:
    """A field's JSON, given as text or as base64 of either alphabet, padded or not."""
    value = value.strip()
    if value[:1] in ("{", "["):
        return value.encode()
    # A form's plus sign is a space by the time it comes here.
    text = value.replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedBody("The field is neither JSON nor base64 of it.") from error


def _field(form: bytes) -> str:
    try:
        fields = dict(parse_qsl(form.decode("latin-1"), max_num_fields=100))
    except ValueError as error:
        raise MalformedBody("The form has too many fields.") from error
    return fields.get("data", "")
