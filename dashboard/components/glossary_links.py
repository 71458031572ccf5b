"""Words that lead to their place in "How to read this"."""

from urllib.parse import quote

from core.reports.glossary import meaning

DICTIONARY = "how_to_read?word="
"""The address that explains a word appended to it."""


def address(name: str) -> str:
    """Where a word of `core.reports.glossary.meaning` is explained."""
    return DICTIONARY + quote(name)


def more(name: str) -> str:
    """The end of a help text, which leads to where `name` is explained; empty where it is not."""
    return f" {word('What is it?', name)}" if meaning(name) else ""


def word(text: str, name: str) -> str:
    """Markdown of a text that leads to where `name` is explained."""
    return f"[{text}]({address(name)})"
