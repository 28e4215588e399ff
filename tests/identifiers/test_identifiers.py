"""Identifiers: normal forms, placeholders, and ids that never change."""

from uuid import UUID

import pytest

from services.identifiers import normalise, subject_id


@pytest.mark.parametrize(
    ("namespace", "raw", "value"),
    [
        ("user_id", "u1", "u1"),
        ("user_id", " u1 ", "u1"),
        ("user_id", 42, "42"),
        ("user_id", "U1", "U1"),
        ("user_id", True, None),
        ("user_id", 1.5, None),
        ("user_id", None, None),
        ("user_id", "", None),
        ("user_id", "0", None),
        ("user_id", "00000000-0000-0000-0000-000000000000", None),
        ("user_id", "undefined", None),
        ("user_id", "[object Object]", None),
        ("user_id", "NULL", None),
        ("user_id", "x" * 256, None),
        ("email", "A@B.example", "a@b.example"),
        ("email", "\uff41@b.example", "a@b.example"),
        ("email", "no-at.example", None),
        ("email", "a@b@c.example", None),
        ("email", "a b@c.example", None),
        ("email", "<a@b.example>", None),
        ("email", "list:a@b.example;", None),
        ("email", "x,a@b.example", None),
        ("email", '"a"@b.example', None),
        ("email", "o'hara+tag@b.example", "o'hara+tag@b.example"),
        ("email", "x" * 65 + "@b.example", None),
        ("phone", "+86 138 0013 8000", "+8613800138000"),
        ("phone", "13800138000", None),
        ("phone", "not a phone", None),
    ],
)
def test_normal_forms(namespace: str, raw: object, value: str | None) -> None:
    assert normalise(namespace, raw) == value


def test_a_national_number_needs_its_region() -> None:
    assert normalise("phone", "138 0013 8000", "CN") == "+8613800138000"


def test_subject_ids_never_change() -> None:
    """Stored events carry them for ever: a changed value would cut everybody's history."""
    workspace = UUID("018f0000-0000-7000-8000-000000000001")
    assert subject_id(workspace, "user_id", "u1") == UUID("c17d5ef0-bf51-5ddb-a9a5-35048eb62c27")
    assert subject_id(workspace, "user_id", "u1") != subject_id(workspace, "email", "u1")
