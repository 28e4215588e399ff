"""What the test's ClickHouse does wrong, as the test tells it while it runs."""

import threading
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["refuse", "cut_before", "cut_after", "hold"]


@dataclass
class Fault:
    """``refuse``: an error instead of the work. ``cut_before``, ``cut_after``: the connection is
    cut before or after it. ``hold``: the work waits for the release (the client may be gone)."""

    kind: Kind
    on: Literal["insert", "any"] = "insert"
    table: str = ""
    times: int = 1
    """How many requests it befalls; negative: all until it is cleared."""
    code: int = 241
    status: int = 500
    text: str = "DB::Exception: Memory limit (total) exceeded. (MEMORY_LIMIT_EXCEEDED)"

    def befalls(self, sql: str, inserts: bool) -> bool:
        wanted = self.on == "any" or (inserts and self.table in sql)
        return self.times != 0 and wanted


@dataclass
class Faults:
    """Thread-safe. ``rows``: rows of each insert that was executed, in order."""

    rows: list[int] = field(default_factory=list)
    held: int = 0
    _planned: list[Fault] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _releases: int = 0

    def plan(self, fault: Fault) -> None:
        with self._changed:
            self._planned.append(fault)

    def clear(self) -> None:
        """No more faults; what is held goes on."""
        with self._changed:
            self._planned.clear()
            self._releases += 1
            self._changed.notify_all()

    def next(self, sql: str, inserts: bool) -> Fault | None:
        with self._changed:
            for fault in self._planned:
                if fault.befalls(sql, inserts):
                    fault.times -= 1
                    return fault
        return None

    def hold(self) -> None:
        with self._changed:
            self.held += 1
            now = self._releases
            self._changed.wait_for(lambda: self._releases != now)
            self.held -= 1

    def state(self) -> dict[str, Any]:
        with self._changed:
            return {"held": self.held, "rows": list(self.rows)}
