"""The table of clients in the documentation against what is installed for the tests."""

import json
import re
from importlib.metadata import version
from pathlib import Path

from tests.support.instance import REPOSITORY

IN_PYTHON = {
    "segment-analytics-python": "segment-analytics-python",
    "rudder-sdk-python": "rudder-sdk-python",
    "posthog (Python)": "posthog",
    "cloudevents (Python)": "cloudevents",
}
NOT_CLIENTS = {"playwright-core"}


def test_the_table_names_every_client_in_the_version_that_is_run() -> None:
    manifest = json.loads((Path(__file__).parent / "package.json").read_text())
    installed = {k: v for k, v in manifest["dependencies"].items() if k not in NOT_CLIENTS}
    installed |= {shown: version(name) for shown, name in IN_PYTHON.items()}
    table = (REPOSITORY / "docs/clients.md").read_text()
    rows = re.findall(r"^\| ([^|]+?) \| ([\d.]+) \| run\b", table, re.MULTILINE)
    for client, run in installed.items():
        shown = {v for name, v in rows if re.match(rf"{re.escape(client)}(?![\w/-])", name)}
        assert shown == {run}, client
