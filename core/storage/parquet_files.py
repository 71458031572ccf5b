"""Parquet files opened by Arrow, whatever bytes their paths are made of: Arrow itself takes UTF-8 alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.plain_files import check_plain


@contextmanager
def open_parquet(path: Path, read_dictionary: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """A parquet file to be read. Nothing is read out of its path.

    Raises what `open` and Arrow raise, and `UserError` where a pipe or a device stands there.
    """
    check_plain(path)
    # Not `pq.read_table`, which first loads pyarrow's data sets for a third of a second.
    if has_plain_name(path):
        with pq.ParquetFile(path, read_dictionary=list(read_dictionary)) as file:
            yield file
    else:
        with path.open("rb") as handle, pq.ParquetFile(handle, read_dictionary=list(read_dictionary)) as file:
            yield file


def write_parquet(table: pa.Table, path: Path, dictionary_bytes: int) -> None:
    """Write a table. LZ4 takes half as much room again as zstd, and half the time of reading, which happens
    more often."""
    options = {"compression": "lz4", "dictionary_pagesize_limit": dictionary_bytes}
    if has_plain_name(path):
        pq.write_table(table, path, **options)
    else:
        with path.open("wb") as handle:
            pq.write_table(table, handle, **options)


def has_plain_name(path: Path) -> bool:
    """Whether a path is text in UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
