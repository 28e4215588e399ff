"""Run the independent check: one SQL statement over the raw files, with no service involved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

_SQL = Path(__file__).with_name("check.sql")


@dataclass(frozen=True, slots=True)
class Expected:
    """What the raw files say. `amount` has two decimals; the journey counts are of instances,
    but for those that end in `_people`, which are of distinct people.
    """

    profiles: int
    received: int
    viewed: int
    completed: int
    transactions: int
    amount: str
    entered: int
    reminded: int
    completed_first: int
    entered_people: int
    reminded_people: int


def expected(data: Path) -> Expected:
    """Check the files in a directory; chDB runs in a process of its own (it never forks)."""
    command = [sys.executable, "-m", "infra.demo.check", str(data.resolve())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    said = json.loads(done.stdout)
    # ClickHouse writes decimals without the zeros at their end.
    return Expected(**said | {"amount": f"{Decimal(said['amount']):.2f}"})


def main(data: str) -> None:
    """Print the answer as one JSON object."""
    import chdb

    # `file()` reads beside the working directory, so no path is ever written into the statement.
    os.chdir(data)
    settings = "\nSETTINGS output_format_json_quote_64bit_integers = 0"
    statement = _SQL.read_text(encoding="utf-8") + settings
    print(chdb.query(statement, "JSONEachRow"))  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1])
