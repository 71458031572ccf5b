"""Numbers with their nouns."""


def amount(number: int, things: str) -> str:
    """`1 task`, `0 tasks`, `2,000 tasks`; `things` is a plural that ends in s."""
    return f"1 {things.removesuffix('s')}" if number == 1 else f"{number:,} {things}"
