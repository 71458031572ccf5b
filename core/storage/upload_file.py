"""A file that somebody sent through a page, on the disk for as long as it is read."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import UserError
from core.storage.files import plain_name

MOST_BYTES = 50 * 2**20


@contextmanager
def sent_file(
    name: str, data: bytes, *, most_bytes: int = MOST_BYTES, folder: Path | None = None
) -> Iterator[Path]:
    """A file under its own name, in a folder of its own below `folder` (the system's for such files if None);
    errors name it without that folder. Raises `UserError` where it is too large."""
    own_name = plain_name(name) or "file"
    if len(data) > most_bytes:
        raise UserError(f"{own_name[-60:]} is larger than the {most_bytes:,} bytes allowed. Split it.")
    with tempfile.TemporaryDirectory(prefix="sent-", dir=folder) as own_folder:
        path = Path(own_folder, own_name)
        path.write_bytes(data)
        try:
            yield path
        except UserError as problem:
            raise UserError(str(problem).replace(str(path), path.name)) from None
