"""`waymark export` and `waymark apply`: journeys as files in git."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from cli.target import Unusable, target

OK, REFUSED, UNUSABLE = 0, 1, 2
_ENDINGS = (".yaml", ".yml", ".json")
_MEMBERS = {"journey", "graph", "references"}


@dataclass(frozen=True)
class _File:
    path: Path
    key: str
    body: dict[str, Any]


def add_commands(commands: Any) -> None:
    """Adds both commands to the parser."""
    apply = commands.add_parser(
        "apply",
        help="make files the drafts of journeys",
        description="Make each file (YAML or JSON, as `waymark export` writes them) the draft of "
        "its journey and show what changes. Exit codes: 0 all done, 1 some file was refused or "
        "cannot be published, 2 unusable file or option.",
    )
    add = apply.add_argument
    add("paths", nargs="+", type=Path, metavar="PATH", help="a file, or a directory of files")
    add("--dry-run", action="store_true", help="only show what would change")
    add("--publish", action="store_true", help="publish the journeys whose live version differs")
    add(
        "--in-flight",
        choices=("finish", "migrate", "stop"),
        default="finish",
        help="with --publish, what becomes of people inside older versions (finish)",
    )
    _reach(apply)
    apply.set_defaults(run=_apply)
    export = commands.add_parser(
        "export",
        help="write journeys as files",
        description="Write each journey's draft as DIRECTORY/KEY.yaml. Exit codes as `apply`.",
    )
    export.add_argument("directory", type=Path, metavar="DIRECTORY")
    _reach(export)
    export.set_defaults(run=_export)


def _reach(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--url", help="address of Waymark, e.g. http://127.0.0.1:8080")
    add("--secret-key", help="secret key of the workspace")
    add("--credentials", type=Path, help="JSON file with url and secret_key", metavar="FILE")


def _client(arguments: argparse.Namespace) -> httpx2.Client:
    url, key = target(arguments, "secret_key")
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.Client(base_url=f"{url}/api/v1", headers=headers, timeout=60.0)


def _apply(arguments: argparse.Namespace) -> int:
    files = [_read(path) for path in _paths(arguments.paths)]
    keys = [file.key for file in files]
    for key in keys:
        if keys.count(key) > 1:
            raise Unusable(f"two files are of the journey {key!r}")
    with _client(arguments) as client:
        done = [_apply_one(client, file, arguments) for file in files]
    return OK if all(done) else REFUSED


def _apply_one(client: httpx2.Client, file: _File, arguments: argparse.Namespace) -> bool:
    params = {"dry_run": "true"} if arguments.dry_run else {}
    answer = _asked(client, "PUT", f"/journey-files/{file.key}", json=file.body, params=params)
    if answer.status_code != 200:
        return _refused(file, answer)
    applied = answer.json()
    would = {"created": "would be created", "changed": "would change"}
    action = would.get(applied["action"]) if arguments.dry_run else None
    print(f"{file.key}: {action or applied['action']}")
    for line in _diff(file.key, applied["before"], applied["after"]):
        print(line)
    for problem in applied["problems"]:
        print(f"{file.key}: {problem['pointer']}: {problem['detail']}")
    if not arguments.publish or applied["live"] == "same":
        return not (arguments.publish and applied["problems"])
    if applied["problems"]:
        print(f"{file.key}: not published")
        return False
    if arguments.dry_run:
        print(f"{file.key}: would be published")
        return True
    body = {"in_flight": arguments.in_flight}
    answer = _asked(client, "POST", f"/journeys/{applied['journey_id']}/publish", json=body)
    if answer.status_code != 200:
        return _refused(file, answer)
    published = answer.json()
    print(f"{file.key}: published as version {published['version']['number']}")
    for warning in published["warnings"]:
        print(f"{file.key}: {warning['detail']}")
    return True


def _refused(file: _File, answer: httpx2.Response) -> bool:
    problem = answer.json()
    print(f"{file.path}: refused: {problem['detail']}")
    return False


def _diff(key: str, before: dict[str, Any] | None, after: dict[str, Any]) -> Iterator[str]:
    old = _text(before).splitlines() if before is not None else []
    return difflib.unified_diff(old, _text(after).splitlines(), f"{key}, now", key, lineterm="")


def _text(value: Any) -> str:
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=100)


def _paths(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        if not path.is_dir():
            yield path
            continue
        found = sorted(each for each in path.rglob("*") if each.suffix in _ENDINGS)
        if not found:
            raise Unusable(f"{path}: no file that ends in {', '.join(_ENDINGS)}")
        yield from found


def _read(path: Path) -> _File:
    try:
        # JSON is YAML, but for tabs, which no file that we write has.
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Unusable(f"{path}: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("journey"), str):
        raise Unusable(f"{path}: `journey: KEY` is missing")
    unknown = sorted(map(str, value.keys() - _MEMBERS))
    if unknown:
        raise Unusable(f"{path}: unknown members: {', '.join(unknown)}")
    body = {name: value[name] for name in ("graph", "references") if name in value}
    return _File(path, value["journey"], body)


def _export(arguments: argparse.Namespace) -> int:
    with _client(arguments) as client:
        written = 0
        arguments.directory.mkdir(parents=True, exist_ok=True)
        for file in _files(client):
            document = {"journey": file["key"], "graph": file["graph"]}
            references = {name: each for name, each in file["references"].items() if each}
            if references:
                document["references"] = references
            path = arguments.directory / f"{file['key']}.yaml"
            path.write_text(_text(document), encoding="utf-8")
            written += 1
    print(f"{written} journeys written to {arguments.directory}")
    return OK


def _files(client: httpx2.Client) -> Iterator[dict[str, Any]]:
    params: dict[str, str] = {}
    while True:
        answer = _asked(client, "GET", "/journey-files", params=params)
        if answer.status_code != 200:
            raise Unusable(str(answer.json().get("detail", answer.status_code)))
        page = answer.json()
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        params = {"cursor": page["next_cursor"]}


def _asked(client: httpx2.Client, method: str, path: str, **more: Any) -> httpx2.Response:
    try:
        return client.request(method, path, **more)
    except httpx2.TransportError as error:
        raise Unusable(f"{client.base_url}: {error}") from error
