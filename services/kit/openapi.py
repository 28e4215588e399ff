"""Prints a service's OpenAPI document: ``python -m services.kit.openapi services.profile``.

The app is made with stand-in settings and never started, so no store has to run. A service whose
settings have a ``role`` is made once per role; the document holds the paths of all of them.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from services.kit.auth import generate_key
from services.kit.settings import ServiceSettings


def settings_class(package: str) -> type[ServiceSettings]:
    """The one settings class of a service: in its ``settings`` module."""
    module = import_module(f"{package}.settings")
    (found,) = (
        item
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, ServiceSettings)
        and item.__module__ == module.__name__
    )
    return found


def document(package: str) -> dict[str, Any]:
    """The OpenAPI document of the service in ``package``, of all of its roles."""
    cls = settings_class(package)
    role = cls.model_fields.get("role")
    whole: dict[str, Any] = {}
    for choice in [None] if role is None else get_args(role.annotation):
        values = {} if choice is None else {"role": choice}
        part = _app_document(package, cls, values)
        if not whole:
            whole = part
            continue
        whole["paths"] |= part["paths"]
        schemas = part.get("components", {}).get("schemas", {})
        whole.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    return whole


def _app_document(
    package: str, cls: type[ServiceSettings], values: dict[str, Any]
) -> dict[str, Any]:
    stand_ins = {
        name: _stand_in(name)
        for name, field in cls.model_fields.items()
        if field.is_required() and name not in values
    }
    app = import_module(f"{package}.main").create_app(cls(**stand_ins, **values))
    found: dict[str, Any] = app.openapi()
    return found


def _stand_in(name: str) -> Any:
    """A value that passes for the required setting ``name`` without anything behind it."""
    if name == "signing_key":
        return generate_key()[0]
    if name == "trusted_keys":
        return {}
    if name == "clickhouse_dsn":
        return f"chdb://{Path.cwd()}"
    if name.endswith("_dsn"):
        return "postgresql+asyncpg://app@127.0.0.1/app"
    return "http://127.0.0.1:9" if name.endswith("_url") else "a stand-in of any length"


def main(package: str) -> None:
    text = json.dumps(document(package), indent=1, sort_keys=True, ensure_ascii=False)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
