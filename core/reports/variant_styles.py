"""How charts show a variant: its colour, the shape of its dots, the dashes of its line, its name."""

from collections.abc import Collection, Sequence

from core.checks.leak_warnings import TEST_TIME

# Okabe & Ito (2008). The last three, orange, sky blue and yellow, are darker than there, where they reach 2.3
# to 1 on white: of all shades that reach 3 in both themes, these lie furthest apart for any colour vision.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#995700", "#4195D2", "#858A0F")
BASELINE = "#8C8C8C"
MARKERS = ("circle", "diamond", "square", "triangle-up", "x", "star")
LETTERS = ("●", "◆", "■", "▲", "✖", "★")
"""`MARKERS` as letters, for names behind curves."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
TEST_TIME_COLOUR = "#8E5FBF"
"""What marks variants with test-time training; nothing else has this colour."""


def variant_colours(variants: Sequence[str], baseline: str) -> dict[str, str]:
    """The colour of each variant, by its place in the spec; the baseline is grey.

    Pass all variants of the experiment, whatever a page shows, so that colours stay.
    """
    others = [variant for variant in variants if variant != baseline]
    colours = {variant: PALETTE[place % len(PALETTE)] for place, variant in enumerate(others)}
    return {variant: colours.get(variant, BASELINE) for variant in variants}


def variant_markers(variants: Sequence[str], baseline: str) -> dict[str, str]:
    """The shape of each variant's dots: another one each time the colours begin anew."""
    return _by_round(variants, baseline, MARKERS)


def variant_dashes(variants: Sequence[str], baseline: str) -> dict[str, str]:
    """How each variant's line is dashed: in another way each time the colours begin anew."""
    return _by_round(variants, baseline, DASHES)


def _by_round(variants: Sequence[str], baseline: str, kinds: Sequence[str]) -> dict[str, str]:
    others = [variant for variant in variants if variant != baseline]
    found = {variant: kinds[place // len(PALETTE) % len(kinds)] for place, variant in enumerate(others)}
    return {variant: found.get(variant, kinds[0]) for variant in variants}


def chart_text(text: object) -> str:
    """Text from data in a chart, which takes tags for bold type, line ends and links. Every name, label and
    title of a chart goes through here."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def variant_text(variant: str, test_time: Collection[str]) -> str:
    """The name of a variant in a chart, marked where it was trained at test time."""
    mark = f' <span style="color:{TEST_TIME_COLOUR}">{TEST_TIME}</span>' if variant in test_time else ""
    return chart_text(variant) + mark
