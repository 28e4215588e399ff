"""The lines of a certificate as they are kept while the work goes on. Pure."""

from typing import Any

Stores = list[dict[str, Any]]
"""``contracts.erasure.StoreReport`` as JSON, by order of first mention."""


def counted(
    stores: Stores,
    store: str,
    *,
    more: int = 0,
    at_least: int = 0,
    **checked: Any,
) -> Stores:
    """``stores`` with one line changed: ``erased`` grows by ``more`` or to ``at_least``; what a
    check found replaces what stood there."""
    fresh: dict[str, Any] = {
        "store": store,
        "erased": 0,
        "scanned": 0,
        "left": 0,
        "mentions": 0,
        "note": "",
    }
    line = next((line for line in stores if line["store"] == store), fresh)
    erased = max(line["erased"] + more, at_least)
    changed = {**line, **checked, "erased": erased}
    others = [line for line in stores if line["store"] != store]
    return sorted([*others, changed], key=lambda each: str(each["store"]))
