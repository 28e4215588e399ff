"""Writes docs/settings.md and docs/problems.md from the code: ``python -m infra.reference``.

With ``--check`` nothing is written and an old file is an error.
"""

import argparse
import inspect
import json
import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from infra.runner.settings import RunnerSettings
from infra.runner.topology import PACKAGES
from services.kit.migrate import OwnerSettings
from services.kit.openapi import settings_class
from services.kit.problems import Problem

_SETTINGS_HEAD = """\
# Settings

Every process reads its settings from environment variables, once, at its start. This page is \
written by `make openapi` from the settings classes; do not edit it.

`make run` fills in everything that is needed on one machine; a variable you set yourself wins. \
For docker-compose see `docker-compose.yml`, which names every variable it passes on.

Lists and objects are JSON. A variable without a default has to be set. Secrets never have one.
"""
_PROBLEMS_HEAD = """\
# Problems

Errors are answered as `application/problem+json` (RFC 9457) with `type`, `title`, `status`, \
`detail` and `instance`; `errors` lists the fields concerned as JSON pointers. On the paths of \
the SDKs (`/v1/…`) `code` and `message` stand beside them. This page is written by `make openapi` \
from the code; do not edit it.

| type | status | title | answered by |
|---|---|---|---|
"""


def settings_page() -> str:
    parts = [_SETTINGS_HEAD, _section("The local runner (`make run`)", RunnerSettings, "")]
    for name, package in PACKAGES.items():
        cls = settings_class(package)
        parts.append(_section(name, cls, str(cls.model_config["env_prefix"])))
    prefixes = ", ".join(f"`{name.upper()}_`" for name in PACKAGES)
    parts.append(
        _section("Migrations", OwnerSettings, "…_")
        + f"\nThe prefix is that of the service migrated: {prefixes}. "
        "Read by `python -m services.kit.migrate` only.\n"
    )
    return "\n".join(parts)


def _section(title: str, cls: type[BaseSettings], prefix: str) -> str:
    rows = [_row(prefix + name.upper(), field) for name, field in cls.model_fields.items()]
    return f"## {title}\n\n| variable | default | meaning |\n|---|---|---|\n" + "".join(rows)


def _row(variable: str, field: FieldInfo) -> str:
    if field.is_required():
        default = "(needed)"
    elif field.default is None or field.default is PydanticUndefined:
        default = ""
    else:
        value = field.default
        default = f"`{value if isinstance(value, str | Path) else json.dumps(value)}`"
    secret = " Secret." if SecretStr in (field.annotation, *_union_of(field)) else ""
    meaning = f"{field.description or ''}{secret}".replace("|", "\\|")
    return f"| `{variable}` | {default} | {meaning} |\n"


def _union_of(field: FieldInfo) -> tuple[object, ...]:
    found: tuple[object, ...] = getattr(field.annotation, "__args__", ())
    return found


def problems_page() -> str:
    for package in ("services.kit", *PACKAGES.values()):
        _import_all(package)
    answered: dict[tuple[str, int, str], set[str]] = {}
    for problem in _subclasses(Problem):
        if problem.type == "about:blank" or problem.__module__.startswith("tests."):
            continue
        key = (problem.type, int(problem.status), problem.title)
        answered.setdefault(key, set()).add(_owner(problem))
    rows = []
    for (kind, status, title), owners in sorted(answered.items()):
        by = "all" if "all" in owners else ", ".join(sorted(owners))
        rows.append(f"| `{kind}` | {status} | {title} | {by} |\n")
    return _PROBLEMS_HEAD + "".join(rows)


def _import_all(package: str) -> None:
    """Problems are known only once their modules are loaded."""
    module = import_module(package)
    for info in pkgutil.walk_packages(module.__path__, package + "."):
        name = info.name.rpartition(".")[2]
        if ".migrations" not in info.name and not name.startswith("__"):
            import_module(info.name)


def _subclasses(cls: type[Problem]) -> Iterator[type[Problem]]:
    for found in cls.__subclasses__():
        if not inspect.isabstract(found):
            yield found
        yield from _subclasses(found)


def _owner(problem: type[Problem]) -> str:
    parts = problem.__module__.split(".")
    name = parts[0] if parts[0] == "gateway" else parts[1]
    return "all" if name == "kit" else name


def pages() -> dict[Path, str]:
    """The text each page should have."""
    return {Path("docs/settings.md"): settings_page(), Path("docs/problems.md"): problems_page()}


def _old(wanted: dict[Path, str]) -> Iterable[Path]:
    return [p for p, text in wanted.items() if not p.exists() or p.read_text("utf-8") != text]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check: bool = parser.parse_args().check
    wanted = pages()
    old = _old(wanted)
    if check and old:
        raise SystemExit("Old (run make openapi): " + ", ".join(str(path) for path in old))
    for path in old:
        path.write_text(wanted[path], "utf-8")


if __name__ == "__main__":
    main()
