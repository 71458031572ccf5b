"""A share in words, `12.3 %`: the one rule for every share that stands in a sentence or a cell of its own.

In tables of results the unit stands in the head, and `core.results.number_format` writes the numbers.
"""


def share_text(share: float, decimals: int = 1) -> str:
    """A share in percent; only all is 100 % and only none is 0 %."""
    least = 10.0 ** -(decimals + 2)
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    return f"{100 * min(1 - least, max(least, share)):.{decimals}f} %"
