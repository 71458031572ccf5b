"""A store of whole files at an address that fsspec knows: s3://bucket/folder, gs://…, file:///folder.

An object store has no locks, no renames and no appended lines, so nothing here needs them. What a name holds
may be half of a file where its writer was cut off, so whoever reads checks it: JSON must be whole, any other
file must have the digest that was noted.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from core.errors import UserError
from core.storage.files import sha256_of


class IncompleteError(Exception):
    """A file of the store is absent, or not what was noted: its writer replaced it, or was cut off."""


def place_in(folder: Path, name: str) -> Path:
    """Where a file that a store's list names belongs. Raises `UserError` where that is out of the folder:
    whoever can write to the store must not be able to write anywhere else."""
    if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
        raise UserError(
            f"The store names a file '{name}', which lies outside the folder it belongs to; nothing was"
            " fetched. Delete the experiment's folder in the store and launch again."
        )
    return folder / name


class Store:
    """Files by name below one address."""

    def __init__(self, url: str) -> None:
        """Raises `UserError` where nothing installed knows the kind of address, or it lacks a part."""
        import fsspec
        from fsspec.implementations.local import LocalFileSystem

        self.url = url.rstrip("/")
        try:
            self._files, base = fsspec.core.url_to_fs(self.url)
        except ImportError as problem:
            raise UserError(f"{url}: {problem}. Give every node the same: pip install …") from None
        except Exception as problem:  # each kind of store refuses an address with errors of its own
            raise UserError(f"{url}: {problem}. Write s3://…, gs://… or file:///….") from None
        self._base = base.rstrip("/")
        if isinstance(self._files, LocalFileSystem):
            self._files.auto_mkdir = True

    def put(self, path: Path, name: str) -> None:
        """Copy a file into the store. Raises FileNotFoundError where it is not here (any more)."""
        try:
            self._files.put_file(str(path), self._place(name))
        except Exception as problem:
            path.stat()
            raise self._said(problem) from problem

    def get(self, name: str, path: Path, sha256: str) -> None:
        """Copy a file out of the store. Raises `IncompleteError` where it is absent or another one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._speaking():
            self._files.get_file(self._place(name), str(path))
        if not path.is_file() or sha256_of(path) != sha256:
            raise IncompleteError(name)

    def put_bytes(self, data: bytes, name: str) -> None:
        """Write a small file into the store."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            self.put(Path(file.name), name)

    def put_json(self, value: Any, name: str) -> None:
        """Write a value into the store."""
        self.put_bytes(json.dumps(value).encode(), name)

    def get_bytes(self, name: str) -> bytes:
        """What a small file holds. Raises `IncompleteError` where it is absent."""
        with self._speaking():
            return bytes(self._files.cat_file(self._place(name)))

    def get_json(self, name: str) -> Any:
        """A value of the store. Raises `IncompleteError` where it is absent or cut in half."""
        try:
            return json.loads(self.get_bytes(name))
        except ValueError:
            raise IncompleteError(name) from None

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where it is absent."""
        try:
            with self._speaking():
                return int(self._files.info(self._place(name))["size"])
        except IncompleteError:
            return None

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, by its last name; nothing where there is no such folder."""
        with self._speaking():
            self._files.invalidate_cache()
        try:
            with self._speaking():
                found = self._files.ls(self._place(folder), detail=False)
        except IncompleteError:
            return []
        return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in found)

    def delete(self, name: str) -> None:
        """Delete a file; nothing happens where it is absent."""
        try:
            with self._speaking():
                self._files.rm_file(self._place(name))
        except IncompleteError:
            return

    def _place(self, name: str) -> str:
        return f"{self._base}/{name}"

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Let a problem of the store be said in a sentence; each kind of store has errors of its own."""
        try:
            yield
        except FileNotFoundError as problem:
            raise IncompleteError(str(problem)) from None
        except Exception as problem:
            raise self._said(problem) from problem

    def _said(self, problem: Exception) -> UserError:
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        return UserError(
            f"The store {self.url} does not answer as it should ({reason})."
            " Check its address and this machine's rights to it, then: python -m core runs retry"
        )
