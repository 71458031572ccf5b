"""What a person reads of the Markdown on a page."""

import re

from dashboard.components.wording import NO_BREAK, NO_SPACE


def as_read(markdown: str) -> str:
    """The text without its escapes, with plain spaces."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown).replace(NO_SPACE, "").replace(NO_BREAK, " ")
