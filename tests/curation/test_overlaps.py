"""The matrix of leaks: both ways round, duplicates on the diagonal, up to date with the flags."""

from dataclasses import replace
from pathlib import Path

from core.curation.flags import add_flag
from core.curation.imports import import_bundle
from core.curation.overlaps import overlaps
from core.curation.stored import SourceInfo, store_source

from .conftest import make_task


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


def test_the_known_traps_of_arc1_and_a_flag_that_changes_the_matrix(tmp_path: Path) -> None:
    import_bundle(tmp_path, "arc1")
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
