"""Partitions: exact sizes, the same for the same seed, and no twins on two lists."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.arc.views import View
from core.curation.flags import add_flag
from core.curation.leaks import find_leaks
from core.curation.partitions import list_partitions, listed_tasks, load_partition, partition_path, split
from core.curation.sources import load_tasks
from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.mixing.mixtures import Augmentation, MixtureSettings, SourceShare, eligible_tasks, load_mixture
from tests.made_once import copy_of_arc1

from .test_leaks import random_task


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twenty tasks; the last four are disguised twins, or of the family, of the first four."""
    tasks = [random_task(f"t{n:02}", "toy", n) for n in range(16)]
    view = View(3, (1, 2, 3, 4, 5, 6, 7, 8, 9, 0))
    twins = [replace(view.apply(task), task_id=f"x{n}", family=f"x{n}") for n, task in enumerate(tasks[:2])]
    kin = [replace(random_task(f"y{n}", "toy", 50 + n), family=tasks[n].task_id) for n in (2, 3)]
    store_source(tmp_path, SourceInfo("toy", "made up", "1", "none", "0"), [*tasks, *twins, *kin])
    return tmp_path


@pytest.mark.parametrize("seed", range(5))
def test_twins_stand_on_one_list(root: Path, seed: int) -> None:
    made = split(root, "mine", ["toy"], {"train": 12, "val": 8}, seed)
    assert made.counts() == {"train": 12, "val": 8}
    assert load_partition(root, "mine") == made
    train, val = (listed_tasks(root, "toy", f"mine/{part}") for part in ("train", "val"))
    assert (len(train), len(val), len(train.keys() & val.keys())) == (12, 8, 0)
    assert find_leaks(train.values(), val.values()) == []
    assert not {task.family for task in train.values()} & {task.family for task in val.values()}


def test_a_split_depends_on_the_seed_alone(root: Path) -> None:
    first = split(root, "a", ["toy"], {"train": 8, "val": 4}, 7)
    assert split(root, "b", ["toy"], {"train": 8, "val": 4}, 7).lists == first.lists
    assert split(root, "c", ["toy"], {"train": 8, "val": 4}, 8).lists != first.lists
    assert [made.name for made in list_partitions(root)] == ["a", "b", "c"]


def test_arc1_is_split_as_in_the_lab_note(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy_of_arc1(tmp_path_factory, tmp_path)
    made = split(tmp_path, "lab", ["arc1/training", "arc1/evaluation"], {"train": 700, "val": 100}, 7)
    assert made.counts() == {"train": 700, "val": 100}
    where = {task_id: part for part, one in made.lists.items() for ids in one.values() for task_id in ids}
    assert len(where) == 800
    assert where["40853293"] == where["070dd51e"]
    assert where["caa06a1f"] == where["50a16a69"]


def test_a_mixture_draws_from_a_list_and_leaves_out_the_excluded(root: Path) -> None:
    split(root, "mine", ["toy"], {"train": 12, "val": 8}, 1)
    listed = set(listed_tasks(root, "toy", "mine/train"))
    out = sorted(listed)[0]
    share = SourceShare(source="toy", partition="mine/train", exclude=(out,))
    stream = load_mixture(root, MixtureSettings(sources=(share,)), 1)
    assert {stream.sample(number).task_id for number in range(300)} == listed - {out}
    with pytest.raises(UserError, match=r"No task 't99' in source 'toy', though .* Did you mean"):
        eligible_tasks(root, SourceShare(source="toy", exclude=("t99",)), Augmentation())


def test_a_reversed_task_follows_its_original(root: Path) -> None:
    split(root, "mine", ["toy"], {"train": 12, "val": 8}, 1)
    for task_id in load_tasks(root, "toy"):
        add_flag(root, task_id, "toy", "yes", "me")
    turned = listed_tasks(root, "reversed:toy", "mine/val")
    assert {task.reverse().task_id for task in turned.values()} == set(listed_tasks(root, "toy", "mine/val"))
    assert len(turned) == 8


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"train": 18, "val": 3}, "21 tasks are wanted, but toy hold 20"),
        ({"train": 5, "val": 0}, "needs lists of at least one task"),
        (dict.fromkeys("abcdefghijklmnopqrst", 1), "2 related tasks, among them .* fit no list"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(root: Path, sizes: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        split(root, "mine", ["toy"], sizes, 1)
    assert not partition_path(root, "mine").exists()


def test_unknown_and_damaged_partitions_are_refused(root: Path) -> None:
    split(root, "mine", ["toy"], {"train": 5}, 1)
    with pytest.raises(UserError, match=r"There is no partition 'yours'. Known partitions: mine"):
        listed_tasks(root, "toy", "yours/train")
    with pytest.raises(UserError, match=r"has no list 'trian'. Use one of: mine/train"):
        listed_tasks(root, "toy", "mine/trian")
    with pytest.raises(UserError, match=r"is no name for a partition"):
        listed_tasks(root, "toy", "../flags/x")
    for text in ("[]", '{"lists": {"train": [1]}}', '{"lists": {"train": {"toy": [1]}}}'):
        partition_path(root, "mine").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=r"is damaged .*Delete it"):
            load_partition(root, "mine")
