"""Runs whose nodes share no folder with their driver: the store between them, seen from the driver.

The driver numbers the attempts at a run and reads the latest one only, so a node that was cut off writes
where nobody looks. What a node pushes is fetched into the run's own folder, so pages and verbs show it as if
the run were here; checkpoints and parts of an evaluation stay in the store, for the next attempt.
"""

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.cluster.bundle import pack
from core.cluster.remote_node import Errand
from core.cluster.snapshot import (
    Carried,
    Pusher,
    Snapshot,
    attempts_in,
    fetch,
    last_snapshot,
    prefix_of,
    read_snapshot,
)
from core.errors import UserError
from core.experiments.provenance import code_version
from core.machine.heartbeat import beat
from core.machine.processes import Notify
from core.runs.layout import ADAPTER, CHECKPOINT, MODEL, STATE, STOP, Run
from core.runs.run_record import read_record
from core.runs.state import fail
from core.storage.files import fingerprint, write_json
from core.storage.stores import IncompleteError, Store

BEGUN = "begun.json"
AT_ONCE = 16
SECONDS_BETWEEN_PULLS, PULLED_A_SECOND = 2.0, 50


def place_of(run: Run) -> str:
    """Where a run lies in a store. A run that was deleted and launched anew has another place."""
    record = read_record(run)
    made = [record.get(name) for name in ("created", "recipe", "evaluation", "data", "base_model")]
    return f"{run.experiment}/runs/{run.variant}/train-{run.train_seed}/{fingerprint(made)[:12]}"


class Mirror:
    """One run in the store."""

    def __init__(self, store: Store, run: Run) -> None:
        """Take over what a node pushed after the last driver's end, unless the run went on here since."""
        self.store, self.run, self.place = store, run, place_of(run)
        self.attempt = max(attempts_in(store.names(self.place)), default=-1)
        self._push, self._asked_to_stop = 0, False
        self._have: dict[str, Carried] = {}
        last = last_snapshot(store, self.place, self.attempt)
        if last is not None and self._goes_on_from_here(last):
            self._fetch(last, state=False)
        else:
            self.attempt += 1
            Pusher(store, prefix_of(self.place, self.attempt), run.folder).push()

    def _goes_on_from_here(self, snapshot: Snapshot) -> bool:
        """Whether all that was reported here stands in the snapshot too."""
        path = self.run.progress_file
        if not path.exists():
            return True
        one = snapshot.files.get(path.name)
        return one is not None and self.store.get_bytes(one.at).startswith(path.read_bytes())

    def begin(self) -> int:
        """Number the next attempt, so that nothing of those before is looked at any more."""
        self.attempt += 1
        self._push, self._asked_to_stop = 0, False
        self.store.put_json({"time": time.time()}, f"{prefix_of(self.place, self.attempt)}/{BEGUN}")
        return self.attempt

    def ask_to_stop(self) -> None:
        """Pass the wish on that the run stands still."""
        if not self._asked_to_stop:
            self.store.put_json({"time": time.time()}, f"{prefix_of(self.place, self.attempt)}/{STOP}")
            self._asked_to_stop = True

    def pull(self) -> None:
        """Fetch what was pushed since the last time; a push is also the sign that the node lives."""
        try:
            found = read_snapshot(self.store, prefix_of(self.place, self.attempt))
            if found is not None and found.push > self._push and self.run.record_file.exists():
                self._fetch(found)
                self._push = found.push
                beat(self.run.heartbeat)
        except IncompleteError:  # the next push came meanwhile: it is seen next time
            return

    def _fetch(self, snapshot: Snapshot, *, state: bool = True) -> None:
        folder = self.run.folder
        fetch(
            self.store,
            snapshot,
            folder,
            lambda name: name != STATE and not _is_only_for_nodes(name),
            self._have,
        )
        if state:
            self._fetch_state(snapshot)
        if any((folder / name).is_dir() for name in (ADAPTER, MODEL)):
            shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)

    def _fetch_state(self, snapshot: Snapshot) -> None:
        """The node's state of the run, as another machine's even where it is this one: it is seconds
        old, so the heartbeat tells whether its process lives, and the process's number does not."""
        one = snapshot.files.get(STATE)
        if one is None or self._have.get(STATE) == one:
            return
        written = self.store.get_json(one.at)
        if isinstance(written, dict):
            host = written.get("host")
            write_json(self.run.state_file, {**written, "host": host and f"{host} (store)"})
        self._have[STATE] = one


def _is_only_for_nodes(name: str) -> bool:
    return name.startswith(f"{CHECKPOINT}/") or "/parts/" in name


class Mirrors:
    """The runs of an experiment in its store."""

    def __init__(self, root: Path, experiment: str, url: str, notify: Notify) -> None:
        self.store = Store(url)
        self._root, self._experiment, self._notify = root, experiment, notify
        self._pulled, self._problems = 0.0, set[str]()

    def open(self, runs: Sequence[Run]) -> dict[Run, Mirror]:
        """Put into the store what these runs need of the project, and their mirrors. A run that can't have
        one is left out and says why. Several are opened at once, as each mostly waits for the store.
        """
        if not runs:
            return {}
        self._listed = pack(self._root, self._experiment, self.store)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            mirrors = zip(runs, pool.map(self._opened, runs), strict=True)
            return {run: mirror for run, mirror in mirrors if mirror is not None}

    def _opened(self, run: Run) -> Mirror | None:
        try:
            return Mirror(self.store, run)
        except (UserError, OSError) as problem:
            fail(run, str(problem))
        except IncompleteError as problem:
            fail(
                run,
                f"{self.store.url} lacks {problem} of this run. Restore it, or delete the run's folder there;"
                " then: python -m core runs retry",
            )
        return None

    def errand(self, mirror: Mirror) -> Errand:
        """What the task of the next attempt at a run needs to know."""
        run = mirror.run
        return Errand(
            url=self.store.url,
            listed=self._listed,
            experiment=run.experiment,
            variant=run.variant,
            train_seed=run.train_seed,
            place=mirror.place,
            attempt=mirror.begin(),
            code=str(code_version()["sha256"]),
        )

    def pull(self, ended: Sequence[Mirror], others: Sequence[Mirror]) -> None:
        """Pull those whose tasks have ended, and all others when it is time again. What can't be pulled is
        said once and tried again."""
        wanted, now = list(ended), time.monotonic()
        if now - self._pulled >= max(SECONDS_BETWEEN_PULLS, len(others) / PULLED_A_SECOND):
            self._pulled = now
            wanted += [mirror for mirror in others if mirror not in wanted]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            problems = {problem for problem in pool.map(_pulled, wanted) if problem is not None}
        for problem in problems - self._problems:
            self._notify(problem)
        self._problems = problems


def _pulled(mirror: Mirror) -> str | None:
    """Pull one; the problem where that can't be done."""
    try:
        mirror.pull()
    except (UserError, OSError) as problem:
        return f"{mirror.run.name}: {problem}"
    return None
