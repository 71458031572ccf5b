"""Numbers as people say them: amounts, bytes and times in the digits that they deserve; and text as text."""

import re

_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$:&=])")
_ADDRESSES = re.compile(r"(://|@|www(?=\.))", re.IGNORECASE)
_PERCENT = re.compile(r"(\d) %")
NO_SPACE, NO_BREAK = "\u200b", "\u00a0"


def plain(text: object) -> str:
    """Text from data, or an error's sentence, that Markdown shows as it stands: no picture, no link, no bold
    type. Every text that a page shows in Markdown goes through here.

    Markdown makes links of bare addresses after it has taken the escapes away; a space of no width inside
    keeps it from that.
    """
    broken = _ADDRESSES.sub(lambda found: found[0].replace(":", f":{NO_SPACE}") + NO_SPACE, str(text))
    return unbroken(_MARKS.sub(r"\\\1", broken))


def unbroken(text: str) -> str:
    """A text in which no line ends between a number and its percent sign."""
    return _PERCENT.sub(f"\\1{NO_BREAK}%", text)


def amount(number: float) -> str:
    """A count: exact below ten thousand, then in thousands (k) and millions (M)."""
    if number < 10_000:
        return f"{number:,.0f}"
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if number < 999.5 * size:
            return f"{number / size:.3g} {unit}"
    return f"{number / 1e12:,.3g} T"


def bytes_in_words(number: float) -> str:
    """Bytes in MB or GB (powers of 1,024)."""
    if number < 2**30:
        return f"{number / 2**20:.0f} MB" if number >= 10 * 2**20 else f"{number / 2**20:.1f} MB"
    return f"{number / 2**30:.1f} GB" if number < 100 * 2**30 else f"{number / 2**30:,.0f} GB"


def seconds_in_words(seconds: float) -> str:
    """A time to wait: seconds, then minutes, then hours and minutes."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
