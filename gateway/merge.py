"""Merges the services' OpenAPI documents into the one the public sees. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.routing import INGESTION, Api, Front, Ingestion, Link, Open, route

Document = dict[str, Any]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_REF = "#/components/schemas/"
_SCHEMES = {
    "secretKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A secret key (`sk_…`): everything but posting events.",
    },
    "writeKey": {
        "type": "http",
        "scheme": "basic",
        "description": "A write key (`wk_…`) as user, with an empty password.",
    },
    "writeKeyHeader": {"type": "apiKey", "in": "header", "name": "X-Write-Key"},
    "writeKeyQuery": {"type": "apiKey", "in": "query", "name": "writeKey"},
}
_INGESTION_SECURITY: list[dict[str, list[str]]] = [
    {"writeKey": []},
    {"writeKeyHeader": []},
    {"writeKeyQuery": []},
]
_API_SECURITY: list[dict[str, list[str]]] = [{"secretKey": []}]
_DESCRIPTION = """\
Waymark's whole public API.

- **Events** are posted under `/v1/` with a *write key*, by Segment's SDKs, their relatives or by \
hand. Every path also exists with a trailing slash, and under the short names \
`/v1/{t,i,p,s,g,a,b}` that browser and mobile clients use. The paths of RudderStack's, Jitsu's \
and PostHog's clients work as well; `docs/clients.md` lists them.
- **Everything else** lies under `/api/v1/` and needs a *secret key*: `Authorization: Bearer sk_…`.
- Lists are paged: pass `next_cursor` of one answer as `cursor` of the next request.
- Errors are problems (RFC 9457): `type` names the kind, `errors[].pointer` the field.
- Every answer carries `X-Request-Id`; quote it when you report something.
"""
_COMMON_ANSWERS = {
    "401": "The key is missing or not valid",
    "403": "This kind of key does not open this door",
    "413": "The body is too large",
    "503": "Temporarily unavailable; `Retry-After` says when to come back",
}


class NotRouted(ValueError):
    """A service documents a path that the gateway would not bring to it."""


def merge(parts: Mapping[str, Document], version: str) -> Document:
    """One document of the public paths in ``parts`` (by service), in their order.

    Raises ``NotRouted`` for a public path of a service that is another's by the routing table.
    """
    renamed = {name: _own_component_names(name, part, parts) for name, part in parts.items()}
    paths: Document = {}
    schemas: Document = {}
    for service, part in renamed.items():
        for path, item in part["paths"].items():
            if _is_public(path, service):
                paths[path] = item
        schemas |= part.get("components", {}).get("schemas", {})
    operations = list(_operations(paths))
    for path, method, operation in operations:
        _dress(path, method, operation)
    _name(operations)
    tags = sorted({tag for _, _, operation in operations for tag in operation.get("tags", ())})
    document: Document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Waymark",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in tags],
        "paths": dict(sorted(paths.items())),
        "components": {"securitySchemes": _SCHEMES},
    }
    document["components"]["schemas"] = _reachable(document, schemas)
    return document


def _is_public(path: str, service: str) -> bool:
    if path.endswith("/"):
        return False
    target = route(path)
    match target:
        case Ingestion():
            # The short names are told of in the description.
            return service == "tracking" and len(path.rpartition("/")[2]) > 1
        case Open():
            return service == "gateway"
        case Api(owner) | Link(owner) | Front(owner) if owner == service:
            return True
    if path.startswith(("/api/", "/v1/")):
        raise NotRouted(f"{service} documents {path}, which the gateway routes to {target}")
    return False


def _operations(paths: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in paths.items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _dress(path: str, method: str, operation: Document) -> None:
    keyed = path in INGESTION or isinstance(route(path), Front)
    operation["security"] = _INGESTION_SECURITY if keyed else _API_SECURITY
    if isinstance(route(path), Open | Link):
        operation["security"] = []
        return
    for parameter in list(operation.get("parameters", ())):
        # The credentials are a security scheme, not a parameter.
        if parameter.get("name", "").lower() == "authorization":
            operation["parameters"].remove(parameter)
    for status, description in _COMMON_ANSWERS.items():
        if status != "413" or "requestBody" in operation:
            operation["responses"].setdefault(status, _problem(description))
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _problem(description: str) -> Document:
    schema = {"$ref": _REF + "ProblemBody"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


def _name(operations: list[tuple[str, str, Document]]) -> None:
    """Short operation ids: the function's name where FastAPI made one up from path and method."""
    for path, method, operation in operations:
        made_up = re.sub(r"\W", "_", f"{path}_{method}")
        operation["operationId"] = operation["operationId"].removesuffix(made_up)
    counts = Counter(operation["operationId"] for _, _, operation in operations)
    for path, method, operation in operations:
        if counts[operation["operationId"]] > 1:
            operation["operationId"] += re.sub(r"\W+", "_", f"{path}_{method}")


def _own_component_names(service: str, part: Document, parts: Mapping[str, Document]) -> Document:
    """``part`` with the names changed that mean something else in another service."""
    own = part.get("components", {}).get("schemas", {})
    clashing = {
        name
        for name, schema in own.items()
        for other, document in parts.items()
        if other != service
        and document.get("components", {}).get("schemas", {}).get(name, schema) != schema
    }
    # The problem body is the same everywhere but for what a service adds to its description.
    new = {name: service.capitalize() + name for name in clashing - {"ProblemBody", "FieldError"}}
    changed: Document = _rename(part, new)
    schemas = changed.get("components", {}).get("schemas", {})
    for old, name in new.items():
        schemas[name] = schemas.pop(old)
    return changed


def _rename(value: Any, new: Mapping[str, str]) -> Any:
    """A copy with every reference to an old name pointing at its new one."""
    if isinstance(value, list):
        return [_rename(item, new) for item in value]
    if isinstance(value, dict):
        return {key: _rename(item, new) for key, item in value.items()}
    if isinstance(value, str) and value.startswith(_REF):
        name = value.removeprefix(_REF)
        return _REF + new.get(name, name)
    return value


def _reachable(document: Document, schemas: Document) -> Document:
    """The components that the public paths use, directly or through others."""
    found: Document = {}
    waiting = list(_references(document))
    while waiting:
        name = waiting.pop()
        if name not in found and name in schemas:
            found[name] = schemas[name]
            waiting.extend(_references(schemas[name]))
    return dict(sorted(found.items()))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, str) and value.startswith(_REF):
        yield value.removeprefix(_REF)
