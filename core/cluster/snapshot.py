"""A run folder in a store, where node and driver share no folder: what is carried, and in which order.

Each attempt at a run (it begins anew after a lost node) writes below a prefix of its own, so one that was
cut off and still writes is never read again. A push puts what has changed under new names and then lists all
files: that list, with sizes and digests, is the run as it was at one moment. Lists go into two places in
turn, so that a whole one is always there.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.plain_files import full_stamp
from core.runs.layout import ADAPT, ADAPTER, CHECKPOINT, MERGED, MODEL, STATE, STOP
from core.storage.files import sha256_of, writing
from core.storage.stores import IncompleteError, Store, place_in

LISTS = ("files-0.json", "files-1.json")
WHOLE = {ADAPTER: 1, MODEL: 1, CHECKPOINT: 2, ADAPT: 3}
"""Folders that appear whole, and of how many names theirs consists."""
AT_HOME = {STOP, MERGED}
_ATTEMPT = re.compile(r"attempt-([0-9]{1,9})")
TRIES, SECONDS_BETWEEN_TRIES = 20, 0.5


@dataclass(frozen=True)
class Carried:
    """A file in the store: its name there, bytes, and digest."""

    at: str
    size: int
    sha256: str

    def is_at(self, path: Path) -> bool:
        """Whether a file here is the same."""
        return path.is_file() and path.stat().st_size == self.size and sha256_of(path) == self.sha256


@dataclass(frozen=True)
class Snapshot:
    """A run folder at one moment: the push that it came with, and files by their name in the folder."""

    push: int = 0
    files: dict[str, Carried] = field(default_factory=dict)


def read_snapshot(store: Store, prefix: str) -> Snapshot | None:
    """The latest whole one below a prefix; None where there is none."""
    found = []
    for name in LISTS:
        try:
            found.append(_parsed(store.get_json(f"{prefix}/{name}"), f"{store.url}/{prefix}/{name}"))
        except IncompleteError:
            continue
    return max(found, key=lambda one: one.push, default=None)


def _parsed(record: Any, where: str) -> Snapshot:
    """A list of files as it was put. Raises `UserError` for anything else, or a file out of its folder."""
    try:
        files = {str(name): Carried(**one) for name, one in record["files"].items()}
        push = int(record["push"])
        whole = all(isinstance(one.at, str) and isinstance(one.sha256, str) for one in files.values())
    except (AttributeError, KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise UserError(f"{where} is no list of a run's files. Delete it, then: python -m core runs retry")
    for name, one in files.items():
        place_in(Path(), name)
        place_in(Path(), one.at)
    return Snapshot(push, files)


def prefix_of(place: str, attempt: int) -> str:
    """Below which an attempt at the run of this place writes."""
    return f"{place}/attempt-{attempt:04d}"


def attempts_in(names: Iterable[str]) -> list[int]:
    """The numbers of the attempts among the names in a run's place; other names are left alone."""
    return [int(one.group(1)) for name in names if (one := _ATTEMPT.fullmatch(name))]


def last_snapshot(store: Store, place: str, attempt: int) -> Snapshot | None:
    """What was left by the last attempt, up to this one, that left anything."""
    for number in range(attempt, -1, -1):
        found = read_snapshot(store, prefix_of(place, number))
        if found is not None:
            return found
    return None


class Pusher:
    """Puts a run folder into the store, again and again."""

    def __init__(self, store: Store, prefix: str, folder: Path, before: Snapshot | None = None) -> None:
        """`before` is what the folder was fetched from: what has not changed since is not put again."""
        self._store, self._prefix, self._folder = store, prefix, folder
        self._number, self._listed = 0, dict(before.files) if before else {}
        self._known = {name: (full_stamp(folder / name), one) for name, one in self._listed.items()}

    def push(self) -> None:
        """Put what has changed, and then the list of all; what that lists no more is deleted.

        Raises `UserError` where the store can't be written, or the folder changed too often meanwhile.
        """
        for _ in range(TRIES):
            try:
                self._push()
                return
            except (FileNotFoundError, IncompleteError) as problem:  # something went while we looked
                last = problem
                time.sleep(SECONDS_BETWEEN_TRIES)
        raise UserError(
            f"The run could not be put into {self._store.url} ({last}). Check that address, then retry."
        )

    def _push(self) -> None:
        number, files = self._number + 1, {}
        for name in _in_order(_names(self._folder)):
            stamp = full_stamp(self._folder / name)
            if name not in self._known or self._known[name][0] != stamp:
                self._known[name] = (stamp, self._put(name, number))
            files[name] = self._known[name][1]
        for name in files:  # a folder that goes was perhaps seen in part
            full_stamp(self._folder / name)
        record = {"push": number, "files": {name: asdict(one) for name, one in files.items()}}
        self._store.put_json(record, f"{self._prefix}/{LISTS[number % 2]}")
        kept = {one.at for one in files.values()}
        gone = [one.at for one in self._listed.values() if one.at not in kept]
        self._number, self._listed = number, files
        for at in gone:
            self._store.delete(at)

    def _put(self, name: str, number: int) -> Carried:
        """Put one file under a new name. Those of the folder itself may grow or be replaced meanwhile."""
        path, at = self._folder / name, f"{self._prefix}/push-{number:06d}/{name}"
        if "/" in name:
            self._store.put(path, at)
            return Carried(at, path.stat().st_size, sha256_of(path))
        data = path.read_bytes()
        if path.suffix == ".jsonl":
            data = data[: data.rfind(b"\n") + 1]  # the last line may be half written
        self._store.put_bytes(data, at)
        return Carried(at, len(data), hashlib.sha256(data).hexdigest())


def fetch(store: Store, snapshot: Snapshot, folder: Path, wanted: Callable[[str], bool] = lambda _: True,
          have: dict[str, Carried] | None = None) -> None:  # fmt: skip
    """Bring a run folder to a snapshot, each file and each folder of `WHOLE` at once, in the order in which
    they were put. `have` tells what is here already; without it every file is looked at.

    Raises `IncompleteError` where the store no longer holds it: a later snapshot does.
    """
    names = _in_order(name for name in snapshot.files if wanted(name))
    for whole, group in groupby(names, key=_whole):
        members = {name: snapshot.files[name] for name in group}
        if have is not None and all(have.get(name) == one for name, one in members.items()):
            continue
        if not all(one.is_at(folder / name) for name, one in members.items()):
            with writing(folder / whole) as temporary:
                for name, one in members.items():
                    store.get(one.at, temporary / name.removeprefix(whole).lstrip("/"), one.sha256)
        if have is not None:
            have.update(members)


def fetch_last(store: Store, place: str, attempt: int, folder: Path) -> Snapshot:
    """Fetch what the attempts before this one left. Raises `UserError` where that is nothing whole."""
    for _ in range(TRIES):
        snapshot = last_snapshot(store, place, attempt - 1)
        try:
            if snapshot is not None:
                fetch(store, snapshot, folder)
                return snapshot
        except IncompleteError:  # who was cut off still pushes
            pass
        time.sleep(SECONDS_BETWEEN_TRIES)
    raise UserError(f"{store.url}/{place} holds nothing whole to go on from. Resume the run to put it there.")


def _names(folder: Path) -> Iterator[str]:
    """The files that are carried; not those of a single machine, nor what is being written."""
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part.endswith(".tmp") for part in parts)
        if not hidden and parts[0] not in AT_HOME and path.is_file():
            yield "/".join(parts)


def _in_order(names: Iterable[str]) -> list[str]:
    """Results first, then what tells of them: so the progress that is read covers every checkpoint, and a
    state never tells of what is not there yet."""
    return sorted(names, key=lambda name: ("/" not in name, name == STATE, name))


def _whole(name: str) -> str:
    """The folder that appears whole with this file in it; else the file."""
    parts = name.split("/")
    return "/".join(parts[: WHOLE.get(parts[0], len(parts))])
