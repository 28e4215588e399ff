"""The reference pages are those of the code."""

from infra.reference import pages, settings_page


def test_committed_pages_are_those_of_the_code() -> None:
    old = [str(path) for path, text in pages().items() if path.read_text("utf-8") != text]
    assert old == [], "run make openapi"


def test_no_secret_has_a_default() -> None:
    rows = [line for line in settings_page().splitlines() if line.endswith("Secret. |")]
    assert len(rows) > 10
    assert {row.split("|")[2].strip() for row in rows} == {"(needed)", ""}
