"""Where a command goes and what it shows at the door."""

from __future__ import annotations

import argparse
import json
from typing import Literal


class Unusable(Exception):
    """The command line cannot be used as it is."""


def target(
    arguments: argparse.Namespace, kind: Literal["write_key", "secret_key"]
) -> tuple[str, str]:
    """The address and the key, as options or from the credentials file."""
    stored: object = {}
    if arguments.credentials:
        try:
            stored = json.loads(arguments.credentials.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Unusable(f"--credentials {arguments.credentials}: {error}") from error
    values = stored if isinstance(stored, dict) else {}
    url = arguments.url or values.get("url")
    key = getattr(arguments, kind) or values.get(kind)
    if not url or not key:
        option = kind.replace("_", "-")
        raise Unusable(f"--url and --{option} are needed, or --credentials with both in it")
    if not str(url).startswith(("http://", "https://")):
        raise Unusable(f"--url {url}: not an http or https address")
    return str(url).rstrip("/"), str(key)
