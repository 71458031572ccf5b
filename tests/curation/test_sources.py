"""Sources survive the disk, are derived from flags, and speak up when something is wrong."""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.arc.tasks import parse_task
from core.curation.flags import add_flag
from core.curation.sources import (
    derived_sources,
    find_task,
    list_sources,
    load_tasks,
    reversed_info,
    source_fingerprint,
    sources_named,
)
from core.curation.stored import SourceInfo, parquet_path, store_source
from core.errors import UserError
from core.importing.import_source import import_bundle
from core.importing.known_sets import BUNDLES
from core.storage.schemas import PAIRS, grid_columns
from core.storage.seals import seal_path
from tests.patience import slowness

from .conftest import make_task


def test_a_source_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    tasks = [make_task("b", tests=2), make_task("a"), make_task("pool", demonstrations=4)]
    pool = parse_task(
        {"train": [{"input": [[n]], "output": [[n, n]]} for n in range(5)], "n_train": 2},
        task_id="z",
        source="toy",
        family="elsewhere",
    )
    hidden = parse_task(
        {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}, task_id="h", source="toy"
    )
    info = store_source(
        tmp_path, SourceInfo("toy", "made up", "1", "none", "0"), reversed([*tasks, pool, hidden])
    )
    assert load_tasks(tmp_path, "toy") == {
        task.task_id: task for task in sorted([*tasks, pool, hidden], key=lambda task: task.task_id)
    }
    assert list(load_tasks(tmp_path, "toy")) == ["a", "b", "h", "pool", "z"]
    assert (info.tasks, info.families, info.n_train) == (5, 5, {"z": 2})
    assert list_sources(tmp_path) == [info]


def test_arc_has_its_public_counts_and_loads_at_once(arc: Path) -> None:
    counts = {info.source: (info.tasks, info.pairs, len(info.dropped)) for info in list_sources(arc)}
    assert counts == {
        "arc1/evaluation": (400, 1782, 0),
        "arc1/training": (400, 1718, 0),
        "arc2/evaluation": (120, 526, 0),
        "arc2/training": (1000, 4308, 0),
    }
    started = time.process_time()
    assert len(load_tasks(arc, "arc1/evaluation")) == 400
    assert time.process_time() - started < slowness()  # 0.15 on an idle machine
    assert find_task(arc, "007bbfb7").train[0].output.shape == (9, 9)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", [name for name in BUNDLES if name not in ("arc1", "arc2")])
def test_other_editions_get_names_of_their_own(tmp_path: Path, name: str) -> None:
    infos = import_bundle(tmp_path, name)
    assert [info.source for info in infos] == [f"{name}/training", f"{name}/evaluation"]
    assert all(info.tasks >= 120 and not info.dropped for info in infos)


def test_a_missing_source_names_the_known_ones_and_the_command(root: Path) -> None:
    with pytest.raises(UserError, match=r"There is no source 'tox'. Known sources: toy. Did you mean 'toy'"):
        load_tasks(root, "tox")
    with pytest.raises(UserError, match=r"Run: python -m core data import arc1$"):
        load_tasks(root, "arc1/training")
    with pytest.raises(UserError, match="No source is imported yet"):
        load_tasks(root / "empty", "toy")


@pytest.mark.parametrize(
    "name", ["../flags", "/etc/passwd", "a//b", "", "a/../b", ".hidden", "reversed:../x"]
)
def test_a_name_cannot_leave_the_folder(root: Path, name: str) -> None:
    with pytest.raises(UserError, match="is no name for a source"):
        load_tasks(root, name)


def test_a_damaged_file_is_named_with_a_remedy(root: Path) -> None:
    path = parquet_path(root, "toy")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:200] + b"\xff" * 40 + whole[240:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"toy.parquet is damaged .* Run: python -m core data import toy"):
            load_tasks(root, "toy")
    path.with_suffix(".json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="no valid JSON"):
        load_tasks(root, "toy")
    path.with_suffix(".json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match=r"is damaged .*Delete it and import the source again"):
        load_tasks(root, "toy")


@pytest.mark.parametrize(
    ("cells", "height", "width"), [(b"\x0a", 1, 1), (b"\x01", 1, 2), (b"\1" * 31, 1, 31)]
)
def test_impossible_grids_in_a_file_are_refused(root: Path, cells: bytes, height: int, width: int) -> None:
    row = {"source": ["toy"], "task_id": ["a"], "family": ["a"], "role": ["train"], "pair_index": [0]}
    columns = {**row, **grid_columns("input", [None]), **grid_columns("output", [None])}
    columns |= {"input_cells": [cells], "input_h": [height], "input_w": [width]}
    pq.write_table(pa.table(columns, schema=PAIRS), parquet_path(root, "toy"))
    seal_path(parquet_path(root, "toy")).unlink()
    with pytest.raises(UserError, match="is damaged"):
        load_tasks(root, "toy")


def test_what_was_read_is_kept_until_the_file_changes(root: Path) -> None:
    first = load_tasks(root, "toy")
    again = load_tasks(root, "toy")
    assert first is not again
    assert all(first[task_id] is again[task_id] for task_id in first)
    again.clear()
    store_source(root, SourceInfo("toy", "made up", "2", "none", "0"), [make_task("new")])
    assert list(load_tasks(root, "toy")) == ["new"]


def test_the_reversed_source_follows_the_flags(root: Path) -> None:
    before = load_tasks(root, "toy")
    assert load_tasks(root, "reversed:toy") == {}
    add_flag(root, "bb11", "toy", "yes", "me")
    add_flag(root, "cc22", "toy", "no", "me")
    turned = load_tasks(root, "reversed:toy")
    assert list(turned) == ["bb11-reversed"]
    task = turned["bb11-reversed"]
    assert (task.source, task.family) == ("reversed:toy", "bb11")
    assert task.reverse().pairs == before["bb11"].pairs
    add_flag(root, "bb11", "toy", "none", "me")
    assert load_tasks(root, "reversed:toy") == {}


def test_a_task_that_is_its_own_reversal_is_left_out_and_reported(root: Path) -> None:
    grid = [[1, 2], [3, 0]]
    flip = [[1, 3], [2, 0]]
    pair = {"input": grid, "output": flip}
    hidden = {"train": [pair], "test": [{"input": grid}]}
    tasks = [
        parse_task({"train": [pair, pair], "test": [pair]}, task_id="flip", source="toy"),
        parse_task(hidden, task_id="hidden", source="toy"),
        make_task("aa00"),
        make_task("gone"),
    ]
    store_source(root, SourceInfo("toy", "made up", "1", "MIT", "0"), tasks)
    for task in tasks:
        add_flag(root, task.task_id, "toy", "yes", "me")
    store_source(root, SourceInfo("toy", "made up", "2", "MIT", "0"), tasks[:-1])
    assert list(load_tasks(root, "reversed:toy")) == ["aa00-reversed"]
    info = reversed_info(root, "toy")
    assert {dropped.task_id: dropped.reason for dropped in info.dropped} == {
        "flip": "It is its own reversal up to symmetry and recolouring.",
        "gone": "The source no longer holds it.",
        "hidden": "Its test outputs are not known.",
    }
    assert (info.source, info.tasks, info.pairs, info.licence) == ("reversed:toy", 1, 3, "MIT")
    assert derived_sources(root) == [info]


def test_a_name_may_stand_for_several_sources(root: Path) -> None:
    for name in ("set/b", "set/a"):
        store_source(root, SourceInfo(name, "made up", "1", "none", "0"), [make_task("x", name)])
    assert sources_named(root, "set") == ["set/a", "set/b"]
    assert sources_named(root, "toy") == ["toy"]
    assert sources_named(root, "all") == ["set/a", "set/b", "toy"]
    assert sources_named(root, "reversed:toy") == ["reversed:toy"]
    with pytest.raises(UserError, match="There is no source 'se'"):
        sources_named(root, "se")


def test_the_fingerprint_follows_the_tasks_alone(root: Path) -> None:
    first = source_fingerprint(root, "toy")
    store_source(root, SourceInfo("toy", "another origin", "9", "x", "1"), load_tasks(root, "toy").values())
    assert source_fingerprint(root, "toy") == first
    store_source(root, SourceInfo("toy", "made up", "1", "none", "0"), [make_task("aa00")])
    assert source_fingerprint(root, "toy") != first


def test_an_unknown_task_names_the_nearest(root: Path) -> None:
    with pytest.raises(UserError, match=r"No task 'bb12' in any imported source. Did you mean 'bb11'\?"):
        find_task(root, "bb12")


def test_a_record_states_the_size_of_its_tasks(tmp_path: Path) -> None:
    info = SourceInfo("toy", "made here", "1", "none", "")
    assert store_source(tmp_path, info, []).cells is None
    demonstrations = [{"input": [[1]], "output": [[1, 2, 3]]}, {"input": [[1], [2]], "output": [[3, 4]]}]
    tests = [{"input": [[5, 5]], "output": [[5]]}]
    small, large = (
        parse_task({"train": shown, "test": tests}, task_id=name, source="toy")
        for name, shown in (("a", demonstrations[:1]), ("b", demonstrations))
    )
    stored = store_source(tmp_path, info, [small, large])
    assert (stored.cells, stored.side) == ((7 + 11) / 2, 3)
    assert list_sources(tmp_path) == [stored]
    add_flag(tmp_path, "a", "toy", "yes", "me")
    (turned,) = derived_sources(tmp_path)
    assert (turned.source, turned.tasks, turned.cells, turned.side) == ("reversed:toy", 1, 7, 3)
