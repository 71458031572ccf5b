"""A run between a node and its driver that share nothing but a store: what is carried, when, and by whom."""

import json
import os
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from core.cluster import remote_node, snapshot
from core.cluster.bundle import pack, unpack
from core.cluster.mirror import Mirror, Mirrors
from core.cluster.remote_node import Errand, work_apart
from core.cluster.snapshot import LISTS, Pusher, fetch, fetch_last, prefix_of, read_snapshot
from core.errors import UserError
from core.machine.processes import Identity, boot_id
from core.runs.done import stages_left
from core.runs.layout import Run
from core.runs.progress import progress_of
from core.runs.state import RunState, read_state, state_of, write_state
from core.storage.files import append_record, read_json, sha256_of, write_json
from core.storage.stores import IncompleteError, Store
from tests.patience import wait_for
from tests.pipeline.driving import QUICK, spec_in
from tests.pipeline.trivial import SECONDS, witnessed

STEPS = 5


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/bucket")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder in the middle of its training."""
    folder = tmp_path / "node" / "train-0"
    for name in ("checkpoint/step-2/weights", "checkpoint/step-2/sha256.json", "eval-0/parts/part-1.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for step in (1, 2):
        append_record(folder / "progress.jsonl", {"stage": "train", "step": step})
    write_json(folder / "state.json", {"state": "running"})
    for name in (".heartbeat", "stop.json", ".state.json.1.ab.tmp", "merged/model"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("only here")
    return folder


def files_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def test_a_run_comes_out_as_it_went_in_and_what_goes_is_deleted(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    pusher = Pusher(store, "place", folder)
    pusher.push()
    with (folder / "progress.jsonl").open("a") as file:
        file.write('{"half a li')
    (folder / "checkpoint" / "step-2").rename(folder / "checkpoint" / "step-4")
    pusher.push()
    pusher.push()
    snapshot = read_snapshot(store, "place")
    assert snapshot is not None and snapshot.push == 3
    other = tmp_path / "other"
    fetch(store, snapshot, other)
    found = files_of(other)
    assert found.pop("progress.jsonl").count("\n") == 2, "no half of a line"
    assert found == {
        "checkpoint/step-4/weights": "checkpoint/step-2/weights",
        "checkpoint/step-4/sha256.json": "checkpoint/step-2/sha256.json",
        "eval-0/parts/part-1.parquet": "eval-0/parts/part-1.parquet",
        "state.json": (folder / "state.json").read_text(),
    }
    stored = [path for path in (tmp_path / "bucket" / "place").rglob("*") if path.is_file()]
    assert len(stored) == len(snapshot.files) + len(LISTS)  # nothing of before is left, nothing twice


def test_a_push_that_was_cut_off_leaves_the_one_before(store: Store, folder: Path, tmp_path: Path) -> None:
    pusher = Pusher(store, "place", folder)
    for _ in range(3):
        pusher.push()
    torn = tmp_path / "bucket" / "place" / LISTS[1]  # of push 3
    torn.write_text(torn.read_text()[:40])
    snapshot = read_snapshot(store, "place")
    assert snapshot is not None and snapshot.push == 2
    fetch(store, snapshot, tmp_path / "other")
    Path(tmp_path / "bucket" / snapshot.files["state.json"].at).write_text("{}")
    with pytest.raises(IncompleteError):
        fetch(store, snapshot, tmp_path / "third")
    assert not (tmp_path / "third" / "state.json").exists()


def test_a_folder_that_changes_all_the_time_is_given_up(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SECONDS_BETWEEN_TRIES", 0.0)
    monkeypatch.setattr(snapshot, "_names", lambda _: iter(["gone/already"]))
    with pytest.raises(UserError, match=r"could not be put into file://.*Check that address"):
        Pusher(store, "place", folder).push()
    with pytest.raises(UserError, match=r"holds nothing whole to go on from"):
        fetch_last(store, "place", 1, folder)


@pytest.fixture
def launched(trivial_project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """A prepared run of trivial stages, whose nodes keep their folders below `scratch`."""
    from core.launching.launch import prepare

    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.setattr(remote_node, "SECONDS_BETWEEN_PUSHES", 0.1)
    monkeypatch.setenv(SECONDS, QUICK)
    (run,) = prepare(trivial_project, spec_in(trivial_project, steps=STEPS), ["launch"])
    return run


def mirrors_of(run: Run, store: Store, said: list[str] | None = None) -> Mirrors:
    said = [] if said is None else said
    return Mirrors(run.root, run.experiment, store.url, said.append)


def errand(launched: Run, store: Store) -> tuple[Mirror, Errand]:
    """What a driver hands out."""
    mirrors = mirrors_of(launched, store)
    (mirror,) = mirrors.open([launched]).values()
    return mirror, mirrors.errand(mirror)


def test_a_node_without_the_folder_works_and_the_driver_sees_it(launched: Run, store: Store) -> None:
    said: list[str] = []
    mirrors = mirrors_of(launched, store, said)
    (mirror,) = mirrors.open([launched]).values()
    beats = launched.heartbeat
    assert not beats.exists()
    assert work_apart(mirrors.errand(mirror), ["train", "infer", "score"]) is None
    assert stages_left(launched, spec_in(launched.root, steps=STEPS)) != []  # nothing came here by itself
    mirrors.pull([], [mirror])
    assert said == [] and beats.exists()
    assert state_of(launched).state == "done"
    assert stages_left(launched, spec_in(launched.root, steps=STEPS)) == []
    assert [one["step"] for one in progress_of(launched, "train")] == list(range(1, STEPS + 1))
    assert [len(witnessed(launched, "end", stage)) for stage in ("train", "infer", "score")] == [1, 1, 1]
    scratch = Path(tempfile.gettempdir()) / f"arc-workbench-{os.getuid()}"
    assert [path.name for path in scratch.glob("*/*")] != []
    assert list(scratch.rglob("train-0")) == [], "the run's folder on the node is gone"
    # Whoever drives it next finds that nothing is left to do.
    assert work_apart(errand(launched, store)[1], ["train"]) is None
    assert len(witnessed(launched, "begin", "train")) == 1


def test_a_node_that_was_cut_off_is_not_read_again(launched: Run, store: Store, tmp_path: Path) -> None:
    mirror = Mirror(store, launched)
    first = mirror.begin()
    theirs = tmp_path / "cut-off"
    before = fetch_last(store, mirror.place, first, theirs)
    cut_off = Pusher(store, prefix_of(mirror.place, first), theirs, before)
    append_record(theirs / "progress.jsonl", {"stage": "train", "step": 1, "loss": 1.0})
    (theirs / "checkpoint").mkdir()
    (theirs / "checkpoint" / "step").write_text("1")
    cut_off.push()
    mirror.pull()
    assert [one["step"] for one in progress_of(launched)] == [1]
    assert not (launched.folder / "checkpoint").exists(), "checkpoints stay in the store"
    second = mirror.begin()
    append_record(theirs / "progress.jsonl", {"stage": "train", "step": 2, "loss": 9.9})
    cut_off.push()
    mirror.pull()
    assert [one["step"] for one in progress_of(launched)] == [1]
    goes_on = tmp_path / "goes-on"
    snapshot = fetch_last(store, mirror.place, second, goes_on)
    assert (goes_on / "checkpoint" / "step").read_text() == "1"
    Pusher(store, prefix_of(mirror.place, second), goes_on, snapshot).push()
    cut_off.push()
    assert read_json(tmp_path / "bucket" / prefix_of(mirror.place, second) / LISTS[1])["push"] == 1
    # A driver that begins anew takes the latest attempt over, and gives the next one another number.
    (launched.folder / "progress.jsonl").unlink()
    write_state(launched, RunState("queued", "train"))
    again = Mirror(store, launched)
    assert again.begin() == second + 1 and read_state(launched).state == "queued"  # type: ignore[union-attr]
    assert [one["step"] for one in progress_of(launched)] == [1, 2]


def test_a_state_from_the_store_is_as_old_as_its_heartbeat(
    launched: Run, store: Store, tmp_path: Path
) -> None:
    """A node may be this very machine, and the process that it tells of gone when its state arrives."""
    mirror = Mirror(store, launched)
    attempt = mirror.begin()
    before = fetch_last(store, mirror.place, attempt, tmp_path / "node")
    node = Pusher(store, prefix_of(mirror.place, attempt), tmp_path / "node", before)
    gone = Identity(2**22 - 1, 1.0, boot_id(), socket.gethostname())
    write_json(tmp_path / "node" / "state.json", {"state": "running", "stage": "train", **asdict(gone)})
    node.push()
    mirror.pull()
    shown = state_of(launched)
    assert (shown.state, shown.host) == ("running", f"{socket.gethostname()} (store)")
    launched.heartbeat.write_text(f"{time.monotonic()} {time.time() - 90}")
    assert state_of(launched).state == "failed"


def test_what_went_on_here_counts_more_than_the_store(launched: Run, store: Store, tmp_path: Path) -> None:
    Mirror(store, launched)
    append_record(launched.folder / "progress.jsonl", {"stage": "train", "step": 1, "loss": 0.5})
    mirror = Mirror(store, launched)
    fetch_last(store, mirror.place, mirror.begin(), tmp_path / "there")
    assert (tmp_path / "there" / "progress.jsonl").read_bytes() == (
        launched.folder / "progress.jsonl"
    ).read_bytes()


def test_a_stop_reaches_the_node(launched: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS, "0.5")
    mirror, one = errand(launched, store)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(work_apart, one, ["train", "infer", "score"])
        wait_for(lambda: mirror.pull() or progress_of(launched))
        assert state_of(launched).state == "running"
        mirror.ask_to_stop()
        assert ended.result() == "exit code 1"
    mirror.pull()
    assert state_of(launched).state == "cancelled"
    assert 0 < len(progress_of(launched)) < STEPS
    assert witnessed(launched, "end", "train") == []


def test_other_code_and_an_unreachable_model_are_refused(launched: Run, store: Store) -> None:
    with pytest.raises(UserError, match=r"has other code in core/ than the driver"):
        work_apart(replace(errand(launched, store)[1], code="another"), ["train"])
    path = launched.root / "runs" / "trial" / "experiment.yaml"
    model = launched.root / "data" / "models" / "tiny"
    path.write_text(path.read_text().replace("base_model: tiny", f"base_model: {model}"))
    with pytest.raises(UserError, match=r"A node would not find the base model '/.*Move it to data/models"):
        pack(launched.root, "trial", store)


def test_a_run_with_a_broken_record_is_reported_and_others_go_on(launched: Run, store: Store) -> None:
    (launched.folder / "run.json").write_text("{")
    assert mirrors_of(launched, store).open([launched]) == {}
    assert "is no valid JSON" in str(json.loads((launched.folder / "state.json").read_text())["error"])


def test_a_store_that_does_not_answer_is_reported_once(
    launched: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    mirrors = mirrors_of(launched, store, said)
    (mirror,) = mirrors.open([launched]).values()

    def refuse(*_: object) -> None:
        raise PermissionError("no rights")

    monkeypatch.setattr(store._files, "cat_file", refuse)
    monkeypatch.setattr(mirror, "store", store)
    for _ in range(3):
        mirrors.pull([mirror], [mirror])
    assert len(said) == 1 and "plain/0: The store file://" in said[0] and "(no rights)" in said[0]


@pytest.mark.parametrize("name", ["../../flags.jsonl", "/tmp/adapter", "eval-0/../../../x", "a\\b"])
def test_a_list_that_leads_out_of_its_folder_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    """Who can write to the store must not write anywhere else: not beside a run, nor beside a project."""
    store.put_bytes(b"x", "at")
    one = {"at": "at", "size": 1, "sha256": sha256_of(tmp_path / "bucket" / "at")}
    store.put_json({"push": 1, "files": {name: one}}, f"{prefix_of('place', 0)}/{LISTS[1]}")
    (tmp_path / "deep" / "run").mkdir(parents=True)
    with pytest.raises(UserError, match="lies outside the folder it belongs to; nothing was fetched"):
        fetch_last(store, "place", 1, tmp_path / "deep" / "run")
    store.put_json({name: one["sha256"]}, "project.json")
    with pytest.raises(UserError, match="lies outside the folder it belongs to; nothing was fetched"):
        unpack("trial", "project.json", store, tmp_path / "deep" / "run")
    assert files_of(tmp_path / "deep").keys() <= {"run/.unpack.lock"}


@pytest.mark.parametrize(
    "damaged",
    [
        {"files-0.json": "[]"},
        {"files-0.json": '{"push": 1, "files": {"log.txt": {"at": 3}}}'},
        {"files-0.json": '{"push": "many", "files": {}}'},
        {"files-0.json": '{"push": 1, "files": null}', "files-1.json": "null"},
    ],
)
def test_a_damaged_run_in_the_store_fails_alone(launched: Run, store: Store, damaged: dict[str, str]) -> None:
    """The driver goes on with the others, and the run says what is damaged."""
    mirror = Mirror(store, launched)
    for name, text in damaged.items():
        store.put_bytes(text.encode(), f"{prefix_of(mirror.place, mirror.attempt)}/{name}")
    store.put_bytes(b"x", f"{mirror.place}/attempt-of-somebody/file")
    assert mirrors_of(launched, store).open([launched]) == {}
    failed = state_of(launched)
    assert failed.state == "failed" and "is no list of a run's files. Delete it, then" in str(failed.error)
