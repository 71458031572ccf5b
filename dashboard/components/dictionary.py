"""Words that lead to their place in "How to read this"."""

from urllib.parse import quote

DICTIONARY = "reading?word="
"""The address that explains a word appended to it."""


def address(name: str) -> str:
    """Where a word of `core.reports.glossary.meaning` is explained."""
    return DICTIONARY + quote(name)


def word(text: str, name: str) -> str:
    """Markdown of a text that leads to where `name` is explained."""
    return f"[{text}]({address(name)})"
