"""Segments that the OpenAPI document shows, one for each kind of condition."""

from typing import Any

RULE: dict[str, Any] = {
    "combinator": "and",
    "rules": [
        {"field": "traits.plan", "operator": "=", "value": "pro"},
        {
            "event": "Order Completed",
            "count": {"operator": ">=", "value": 2},
            "window": {"last_days": 30},
        },
    ],
}
EXAMPLES: list[dict[str, Any]] = [
    {
        "name": "Active on the pro plan",
        "description": "Two orders within 30 days",
        "rule": RULE,
    },
    {
        "name": "Left the checkout",
        "description": "No order within an hour, may be written to by email",
        "rule": {
            "combinator": "and",
            "rules": [
                {
                    "sequence": [
                        {"event": "Checkout Started"},
                        {"event": "Order Completed", "did": False},
                    ],
                    "within": {"seconds": 3600},
                    "window": {"last_days": 7},
                },
                {"field": "consent.marketing", "operator": "=", "value": "granted"},
            ],
        },
    },
    {
        "name": "On trial for two weeks",
        "rule": {
            "rules": [
                {
                    "held": {
                        "rules": [{"field": "traits.plan", "operator": "=", "value": "trial"}]
                    },
                    "for": {"days": 14},
                }
            ]
        },
    },
    {"name": "Guests of the spring fair", "description": "A list: people are put in by hand"},
]
