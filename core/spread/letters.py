"""Letters for a table: variants that share a letter are not distinguishable.

In come names, best first, and the pairs that are; out comes a letter display, such as a, ab, b.
"""

from collections.abc import Iterable, Sequence


def grouping_letters(names: Sequence[str], distinguishable: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Letters for `names`, best first: two names share a letter unless they are distinguishable.

    Each letter is one maximal clique of the graph "not distinguishable", so no letter can be added or
    left out (Piepho 2004 gives the same display). The best variant's group is "a"; after "z" comes "aa".
    """
    order = {name: place for place, name in enumerate(names)}
    apart = {frozenset(pair) for pair in distinguishable}
    near = {
        name: {other for other in names if other != name and frozenset((name, other)) not in apart}
        for name in names
    }
    cliques = sorted(
        sorted(order[name] for name in clique) for clique in _maximal_cliques(set(), set(names), set(), near)
    )
    letters: dict[str, list[str]] = {name: [] for name in names}
    for place, clique in enumerate(cliques):
        for member in clique:
            letters[names[member]].append(_letter(place))
    return {name: "".join(own) if len(cliques) <= 26 else " ".join(own) for name, own in letters.items()}


def _maximal_cliques(
    clique: set[str], open_: set[str], closed: set[str], near: dict[str, set[str]]
) -> list[set[str]]:
    """Bron & Kerbosch 1973, with the pivot that leaves the fewest branches."""
    if not open_:
        return [] if closed else [clique]
    pivot = max(open_ | closed, key=lambda name: len(near[name] & open_))
    found = []
    for name in sorted(open_ - near[pivot]):
        found += _maximal_cliques(clique | {name}, open_ & near[name], closed & near[name], near)
        open_, closed = open_ - {name}, closed | {name}
    return found


def _letter(place: int) -> str:
    """0 → a, 25 → z, 26 → aa."""
    word = ""
    while place >= 0:
        word = chr(ord("a") + place % 26) + word
        place = place // 26 - 1
    return word
