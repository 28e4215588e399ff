"""What every client in Python is told to say, and how it reports what it was told back."""

import json
import sys
from datetime import datetime
from typing import Any

RUN: dict[str, Any] = json.loads(sys.argv[1])
"""The keys, ids and options of this run."""
TRAITS = {"email": RUN["email"], "name": "Ada", "plan": "pro"}
ORDER = {"revenue": 12.5, "currency": "EUR", "products": [{"sku": "s1", "quantity": 2}]}
ORDERED_AT = datetime.fromisoformat(RUN["ordered_at"])
HOME = {"url": "https://shop.example/home", "title": "Home"}

_errors: list[str] = []


def report(error: Exception, _events: object = None) -> None:
    """For a client's own error handlers."""
    _errors.append(str(error))


def end() -> None:
    """Prints what went wrong as the last thing this process does by itself."""
    print(json.dumps({"errors": _errors}))
