"""Texts that a page holds ready to be copied: all of them, or a sentence about what is left out."""

from streamlit.testing.v1 import AppTest

from dashboard.components.files import MOST_COPIED

LINE = "reversed,14.0,0.5"


def text_of(lines: int) -> None:
    from dashboard.components.files import show_text

    show_text("reversed,14.0,0.5\n" * lines, "text")


def test_a_short_text_is_whole() -> None:
    page = AppTest.from_function(text_of, args=(3,)).run()
    assert page.code[0].value.count(LINE) == 3 and not page.caption


def test_what_is_cut_is_said_and_ends_with_a_line() -> None:
    lines = 2 * MOST_COPIED // len(LINE)
    page = AppTest.from_function(text_of, args=(lines,)).run()
    shown = page.code[0].value.splitlines()
    assert set(shown) == {LINE} and MOST_COPIED / 2 < len(page.code[0].value) <= MOST_COPIED
    assert page.caption[0].value == f"The first {len(shown):,} of {lines:,} lines are here; the file has all."
