"""The matrix of leaks: both ways round, duplicates on the diagonal, up to date with the flags."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.arc.tasks import Pair, Task
from core.arc.views import View
from core.curation import overlaps as module
from core.curation.flags import add_flag
from core.curation.overlaps import MOST_KEPT, is_known, overlaps, side_by_side
from core.curation.stored import SourceInfo, store_source
from tests.made_once import copy_of_arc1

from .conftest import make_task
from .test_leaks import random_task


def test_every_leak_is_seen_from_both_sides(root: Path) -> None:
    twin = replace(make_task("aa00"), task_id="twin", source="other")
    store_source(root, SourceInfo("other", "", "", "", ""), [twin, make_task("xy99", "other")])
    found = overlaps(root, ["toy", "other"])
    assert set(found) == {(a, b) for a in ("toy", "other") for b in ("toy", "other")}
    there, back = found["toy", "other"], found["other", "toy"]
    assert [(leak.task_a, leak.task_b, leak.kind) for leak in there.leaks] == [
        ("aa00", "twin", "same family")
    ]
    assert {(leak.task_b, leak.task_a) for leak in back.leaks} == {
        (leak.task_a, leak.task_b) for leak in there.leaks
    }
    assert all(leak.source_a == "other" and leak.source_b == "toy" for leak in back.leaks)
    assert there.tasks == back.tasks == 1
    assert found["toy", "toy"].tasks == 0


def test_the_diagonal_counts_all_tasks_with_a_duplicate(tmp_path: Path) -> None:
    one = make_task("aa00")
    tasks = [one, replace(one, task_id="zz"), make_task("other")]
    store_source(tmp_path, SourceInfo("toy", "", "", "", ""), tasks)
    found = overlaps(tmp_path, ["toy"])["toy", "toy"]
    assert (found.tasks, len(found.leaks)) == (2, 1)


def test_the_known_traps_of_arc1_and_a_flag_that_changes_the_matrix(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy_of_arc1(tmp_path_factory, tmp_path)
    names = ["arc1/training", "arc1/evaluation"]
    leaks = overlaps(tmp_path, names)["arc1/training", "arc1/evaluation"].leaks
    assert {(leak.task_a, leak.task_b) for leak in leaks} == {
        ("40853293", "070dd51e"),
        ("caa06a1f", "50a16a69"),
    }
    for count, task_id in enumerate(("007bbfb7", "00d62c1b"), 1):
        add_flag(tmp_path, task_id, "arc1/training", "yes", "me")
        found = overlaps(tmp_path, ["arc1/training", "reversed:arc1/training"])
        assert found["arc1/training", "reversed:arc1/training"].tasks == count


def test_the_matrix_is_kept_on_disk_until_a_source_a_flag_or_a_rule_changes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["toy", "reversed:toy"]
    add_flag(root, "aa00", "toy", "yes", "me")
    assert not is_known(root, names)
    first = overlaps(root, names)
    assert is_known(root, names)
    module._overlaps.cache_clear()  # as after a start of the server
    with monkeypatch.context() as patch:
        patch.setattr(module, "leaks_between", lambda *_: pytest.fail("it is on disk"))
        assert overlaps(root, names) == first
    add_flag(root, "bb11", "toy", "yes", "me")
    assert not is_known(root, names)
    assert overlaps(root, names) != first
    with monkeypatch.context() as patch:
        patch.setattr(module, "RULES", (0, 0.0))
        assert not is_known(root, names)
    # Families are related by all imported sources, so one that is not asked about counts as well.
    store_source(root, SourceInfo("other", "", "", "", ""), [make_task("xy99", "other")])
    assert not is_known(root, names)


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[[1]]",
        '[["a","b","c","d","e",null]]',
        "3",
        '[["elsewhere", "a", "elsewhere", "b", "same pair", 1]]',
    ],
)
def test_a_damaged_file_is_made_anew(root: Path, damage: str) -> None:
    twin = replace(make_task("aa00"), task_id="twin", source="other")
    store_source(root, SourceInfo("other", "", "", "", ""), [twin])
    first = overlaps(root, ["toy", "other"])
    (path,) = (root / "data" / ".cache" / "leaks").glob("*.json")
    good = path.read_text()
    path.write_text(damage)
    module._overlaps.cache_clear()
    assert overlaps(root, ["toy", "other"]) == first
    assert path.read_text() == good


def test_old_files_are_forgotten(root: Path) -> None:
    for number in range(MOST_KEPT + 4):
        add_flag(root, "aa00", "toy", "yes" if number % 2 else "none", "me")
        add_flag(root, ("bb11", "cc22", "dd33")[number % 3], "toy", "yes" if number % 5 else "none", "me")
        overlaps(root, ["toy", "reversed:toy"])
    assert len(list((root / "data" / ".cache" / "leaks").glob("*.json"))) <= MOST_KEPT


def test_of_a_pool_the_shared_pairs_stand_opposite_each_other(root: Path) -> None:
    many = random_task("pool", "pool", 1, pairs=20).pairs
    pool = Task("pool", "pool", "pool", many, (), 3)
    view = View(3, (2, 0, 1, 4, 3, 6, 5, 8, 7, 9))
    seen = view.apply(pool).pairs
    own = random_task("own", "small", 2).pairs[0]
    thief = Task("thief", "small", "thief", (own, seen[17], seen[4].reverse()), (seen[12],))
    store_source(root, SourceInfo("pool", "", "", "", ""), [pool])
    store_source(root, SourceInfo("small", "", "", "", ""), [thief])
    (leak,) = overlaps(root, ["pool", "small"])["pool", "small"].leaks
    assert leak.pairs == 3
    one, other = side_by_side(root, leak)
    assert one.pairs == (many[17], many[4], many[12])
    assert other.pairs == (seen[17], seen[4].reverse(), seen[12])
    assert len(side_by_side(root, leak, most=1)[0].pairs) == 1


def test_of_tasks_that_are_alike_by_name_alone_the_first_pairs_are_shown(root: Path) -> None:
    grid = np.ones((3, 3), dtype=np.uint8)
    pool = Task("aa00", "pool", "aa00", tuple(Pair(grid * n, grid) for n in range(9)), (), 3)
    store_source(root, SourceInfo("pool", "", "", "", ""), [pool])
    (leak,) = overlaps(root, ["pool", "toy"])["pool", "toy"].leaks
    one, other = side_by_side(root, leak)
    assert one.pairs == pool.pairs[:4]
    assert other.pairs == make_task("aa00").pairs
