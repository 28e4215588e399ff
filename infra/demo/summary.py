"""What the demo found, compared with the independent check, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from infra.demo.check import Expected
from infra.demo.story import Imported, Replayed, wanted


@dataclass(slots=True)
class Summary:
    """Everything the demo measured; `differences` names what is not as it has to be."""

    check: Expected
    first: Imported
    again: Imported
    visible_seconds: float
    counts: dict[str, int | str]
    counts_again: dict[str, int | str]
    journey_id: str
    journey: Replayed
    sink_messages: int
    sink_repeated: list[str]
    map_id: str
    funnel: list[dict[str, Any]] = field(default_factory=list)

    def differences(self) -> list[str]:
        """Sentences about what differs; empty when the whole story holds."""
        found = []
        right = wanted(self.check)
        journey = _ways(self.check)
        for name, have, want in (
            ("counts after the import", self.counts, right),
            ("counts after importing again", self.counts_again, right),
            ("journey", _ways(self.journey), journey),
        ):
            found += [
                f"{name}: {key} is {have.get(key)}, the raw files say {value}"
                for key, value in want.items()
                if have.get(key) != value
            ]
        ends = self.journey.reminded + self.journey.completed_first
        if self.journey.entered != ends:
            found.append(f"journey: {self.journey.entered} entered but {ends} ended")
        if self.sink_messages != self.check.reminded:
            found.append(f"sink: {self.sink_messages} messages, not {self.check.reminded}")
        if self.sink_repeated:
            found.append(f"sink: {len(self.sink_repeated)} messages came more than once")
        rejected = self.first.rejected + self.again.rejected
        if rejected:
            found.append(f"import: {rejected} lines were rejected")
        return found

    def document(self) -> dict[str, Any]:
        """The summary as JSON data."""
        return {**asdict(self), "differences": self.differences()}

    def text(self) -> str:
        """The summary as a page of text."""
        differences = self.differences()
        lines = [
            "Waymark demo",
            "",
            f"Imported    {self.first.sent:,} events in {self.first.seconds:.1f} s "
            f"({self.first.rate:,.0f}/s), all visible {self.visible_seconds:.1f} s later",
            f"Again       {self.again.sent:,} events in {self.again.seconds:.1f} s, nothing changed"
            if self.counts == self.counts_again
            else "Again       the same files changed the numbers",
            "",
            *(_row(_LABELS[key], value) for key, value in self.counts.items()),
            "",
            "Journey: offer viewed, not completed within 3 days, reminder by email",
            *(_row(_LABELS[key], value) for key, value in _ways(self.journey).items()),
            _row("messages in the sink", self.sink_messages),
            f"  replayed 786 h and delivered in {self.journey.seconds:.1f} s",
            "",
            "Funnel (people)",
            *(_row(step["name"], step["people"]) for step in self.funnel),
            "",
        ]
        if differences:
            lines += ["NOT as the raw files say:", *(f"  {text}" for text in differences)]
        else:
            lines.append("Every number equals what an independent query over the raw files says.")
        return "\n".join(lines) + "\n"


_LABELS = {
    "received": "offers received",
    "viewed": "offers viewed",
    "completed": "offers completed",
    "transactions": "transactions",
    "amount": "amount",
    "profiles": "profiles",
    "entered": "entered",
    "reminded": "reminded",
    "completed_first": "completed first",
}


def _ways(journey: Expected | Replayed) -> dict[str, int]:
    return {
        "entered": journey.entered,
        "reminded": journey.reminded,
        "completed_first": journey.completed_first,
    }


def _row(label: str, value: int | str) -> str:
    return f"  {label:<24}{value:>14,}" if isinstance(value, int) else f"  {label:<24}{value:>14}"
