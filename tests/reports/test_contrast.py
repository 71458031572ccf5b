"""The colours that all is drawn in can be seen in both themes (WCAG 2.1, 1.4.3 and 1.4.11)."""

import tomllib
from pathlib import Path

import pytest

from core.reports.variant_styles import BASELINE, PALETTE, TEST_TIME_COLOUR

THEMES = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text())["theme"]


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' relative luminances."""

    def luminance(colour: str) -> float:
        shares = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_reach_3_and_texts_reach_4_5_to_1(theme: str) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    colours = THEMES[theme]
    for mark in (*PALETTE, BASELINE, TEST_TIME_COLOUR):
        assert contrast(mark, colours["backgroundColor"]) >= 3, mark
    for behind in ("backgroundColor", "secondaryBackgroundColor"):
        assert contrast(colours["textColor"], colours[behind]) >= 7
    assert contrast(colours["primaryColor"], colours["backgroundColor"]) >= 4.5
