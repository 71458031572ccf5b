"""Numbers in sentences: with their nouns, and shares in percent."""


def amount(number: int, things: str) -> str:
    """`1 task`, `0 tasks`, `2,000 tasks`; `things` is a plural that ends in s."""
    return f"1 {things.removesuffix('s')}" if number == 1 else f"{number:,} {things}"


def share_text(share: float, decimals: int = 1) -> str:
    """A share in percent, `12.3 %`; only all is 100 % and only none is 0 %.

    It writes every share that stands in a sentence or a cell of its own. In tables of results the unit stands
    in the head, and `core.results.number_format` writes the numbers.
    """
    least = 10.0 ** -(decimals + 2)
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    return f"{100 * min(1 - least, max(least, share)):.{decimals}f} %"
