"""Saved queries: one file each in `data/queries/`, to be kept, edited and shared like any text."""

import re
from pathlib import Path

from core.errors import UserError
from core.plain_files import read_text
from core.sql.sandbox import LONGEST_SQL
from core.storage.files import write_text

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,63}(?<! )")


def list_queries(root: Path) -> list[str]:
    """Names of the saved queries."""
    return sorted(path.stem for path in _folder(root).glob("*.sql") if _NAME.fullmatch(path.stem))


def read_query(root: Path, name: str) -> str:
    """The text of a saved query. Raises `UserError` where there is none or it is no text."""
    if name not in list_queries(root):
        known = ", ".join(list_queries(root)) or "none yet"
        raise UserError(f"There is no saved query '{name}' in data/queries. Known: {known}.")
    path = _folder(root) / f"{name}.sql"
    try:
        return read_text(path)[:LONGEST_SQL]
    except (UserError, OSError):
        raise UserError(f"{path} is no readable text. Restore it or delete it.") from None


def save_query(root: Path, name: str, sql: str) -> Path:
    """Save a text in place of what had that name. Raises `UserError` for a name that is none."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"'{name[:80]}' is no name of a query. Use letters, digits, blanks, '_' and '-', no sign first."
        )
    if not sql.strip() or len(sql) > LONGEST_SQL:
        raise UserError(f"A saved query has between 1 and {LONGEST_SQL:,} characters. Write or shorten it.")
    path = _folder(root) / f"{name}.sql"
    write_text(path, sql.rstrip() + "\n")
    return path


def _folder(root: Path) -> Path:
    return root / "data" / "queries"
