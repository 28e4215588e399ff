"""Writes the OpenAPI documents: ``python -m gateway.openapi [--check]``, from the repository root.

Each service's own goes to ``docs/openapi/<service>.json`` (made in a process of its own, since the
gateway imports no service); all of them merged to ``gateway/openapi.json``, which is what
``/openapi.json`` serves. ``--check`` writes nothing and fails where a committed file is old.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway.merge import merge

PACKAGES = {
    "gateway": "gateway",
    "tracking": "services.tracking",
    "profile": "services.profile",
    "orchestrator": "services.orchestrator",
    "assessment": "services.assessment",
}
DOCUMENTS = Path("docs/openapi")
MERGED = Path("gateway/openapi.json")


def service_document(service: str) -> dict[str, Any]:
    """What the code of ``service`` says of itself now."""
    command = [sys.executable, "-m", "services.kit.openapi", PACKAGES[service]]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 (our own module)
    if done.returncode:
        raise SystemExit(f"{service} cannot be loaded: {done.stderr.decode()[-500:]}")
    # The last line is the document's end; log lines may come before its first.
    text = done.stdout.decode()
    found: dict[str, Any] = json.loads(text[text.index("{\n") :])
    return found


def render(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def current() -> dict[Path, str]:
    """The text every document file should have."""
    with ThreadPoolExecutor(2) as threads:
        parts = dict(zip(PACKAGES, threads.map(service_document, PACKAGES), strict=True))
    version = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]["version"]
    wanted = {DOCUMENTS / f"{name}.json": render(part) for name, part in parts.items()}
    return wanted | {MERGED: render(merge(parts, version))}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check: bool = parser.parse_args().check
    old = [
        path
        for path, text in current().items()
        if not path.exists() or path.read_text("utf-8") != text
        if check or not _write(path, text)
    ]
    if old:
        raise SystemExit("Old (run make openapi): " + ", ".join(str(path) for path in old))


def _write(path: Path, text: str) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return True


if __name__ == "__main__":
    main()
