"""Leaks: planted ones are found in every disguise, coincidences are not, public traps are known."""

import time
from pathlib import Path

import numpy as np
import pytest

from core.arc.tasks import Pair, Task
from core.arc.views import View
from core.curation.flags import add_flag
from core.curation.leaks import Leak, find_leaks, leaks_between, related_families
from core.curation.sources import list_sources, load_tasks
from core.curation.stored import SourceInfo, store_source
from core.mixing.mixtures import MixtureSettings, SourceShare, mixture_leaks
from tests.patience import slowness

VIEW = View(6, (3, 1, 4, 0, 5, 9, 2, 6, 8, 7))


def random_task(task_id: str, source: str, seed: int, side: int = 6, pairs: int = 3) -> Task:
    rng = np.random.default_rng(seed)
    made = [Pair(*rng.integers(0, 6, (2, side, side), dtype=np.uint8)) for _ in range(pairs)]
    return Task(task_id, source, task_id, tuple(made[:-1]), (made[-1],))


def renamed(task: Task, task_id: str, source: str) -> Task:
    return Task(task_id, source, task_id, task.train, task.test)


@pytest.fixture
def strangers() -> list[Task]:
    return [random_task(f"s{n}", "a", n) for n in range(30)]


def test_a_disguised_task_is_found(strangers: list[Task]) -> None:
    disguised = renamed(VIEW.apply(strangers[7]), "other", "b")
    assert find_leaks(strangers, [disguised]) == [Leak("a", "s7", "b", "other", "same pair", 3)]
    turned = renamed(disguised.reverse(), "turned", "b")
    assert find_leaks(strangers, [turned]) == [Leak("a", "s7", "b", "turned", "reversed pair", 3)]
    assert find_leaks([turned], strangers) == [Leak("b", "turned", "a", "s7", "reversed pair", 3)]


def test_one_shared_pair_is_enough_whatever_its_role(strangers: list[Task]) -> None:
    stolen = VIEW.apply(strangers[3]).test[0]
    other = random_task("other", "b", 99)
    thief = Task("other", "b", "other", (other.train[0], stolen), other.test)
    assert find_leaks(strangers, [thief]) == [Leak("a", "s3", "b", "other", "same pair", 1)]


def test_equal_tasks_leak_as_if_each_were_compared_alone() -> None:
    """Small ones as well, where whole tasks decide; equal are those that one view turns into each other."""
    first, small, third = (random_task("x", "x", seed, side) for seed, side in ((1, 6), (2, 2), (3, 2)))
    turned = Task("x", "x", "x", small.train[::-1], small.test)
    recoloured = View(colours=VIEW.colours).apply(third)
    mixed = Task("x", "x", "x", (*small.train, *VIEW.apply(small).test), ())
    kinds = [first, small, third, first.reverse(), turned, VIEW.apply(small), recoloured, mixed]
    many = [renamed(kinds[n % 8], f"t{n:02d}", "ab"[n % 2]) for n in range(26)]
    many.sort(key=lambda task: (task.source, task.task_id))
    alone = [leak for n, one in enumerate(many) for two in many[n + 1 :] for leak in find_leaks([one], [two])]
    assert find_leaks(many, many) == alone
    assert {leak.kind for leak in alone} == {"same pair", "reversed pair"}
    views = [
        View(n % 8, VIEW.colours[n % 10 :] + VIEW.colours[: n % 10], (n % 2, 1 - n % 2)) for n in range(400)
    ]
    hundreds = [renamed(view.apply(first), f"t{n:03d}", "a") for n, view in enumerate(views)]
    begin = time.process_time()
    assert len(find_leaks(hundreds, hundreds)) == 400 * 399 // 2
    assert time.process_time() - begin < 5 * slowness()


def test_ids_and_families_are_leaks_without_a_common_pair() -> None:
    task = random_task("x", "a", 1)
    alike = random_task("x", "b", 2)
    kin = Task("x-twin", "b", "x", alike.train, alike.test)
    assert [leak.kind for leak in find_leaks([task], [alike, kin])] == ["same id", "same family"]
    assert find_leaks([task.reverse()], [alike])[0].kind == "same family"
    assert find_leaks([task], [random_task("y", "b", 2)], {"y": "x"})[0].kind == "same family"
    assert all(leak.pairs == 0 for leak in find_leaks([task], [alike, kin]))


def test_strangers_and_coincidences_are_no_leaks(strangers: list[Task]) -> None:
    assert find_leaks(strangers, strangers) == []
    dot = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 0]], dtype=np.uint8)
    one = Task("a", "a", "a", (Pair(dot, dot[:1, :1]),), (Pair(dot, dot),))
    other = Task("b", "b", "b", (Pair(dot, dot[:1, :1]),), (Pair(dot, dot[:1]),))
    assert find_leaks([one], [other]) == []


def test_small_pairs_add_up_to_evidence() -> None:
    """One coincidence is none, but a whole task of small pairs that agree is the same task."""
    rng = np.random.default_rng(5)
    pairs = [Pair(*rng.integers(0, 3, (2, 2, 3), dtype=np.uint8)) for _ in range(6)]
    one = Task("a", "a", "a", tuple(pairs), ())
    alike = Task("b", "b", "b", tuple(VIEW.apply(one).train), ())
    single = Task("c", "b", "c", alike.train[:1], (Pair(pairs[0].input, pairs[1].input),))
    assert find_leaks([one], [alike]) == [Leak("a", "a", "b", "b", "same pair", 6)]
    assert find_leaks([one], [single]) == []


def test_a_set_is_compared_with_itself_once(strangers: list[Task]) -> None:
    twin = renamed(VIEW.apply(strangers[0]), "twin", "a")
    members = [*strangers, twin]
    assert find_leaks(members, members) == [Leak("a", "s0", "a", "twin", "same pair", 3)]


def test_hidden_outputs_are_passed_over(strangers: list[Task]) -> None:
    hidden = Task("h", "b", "h", strangers[0].train, (Pair(strangers[0].test[0].input, None),))
    assert find_leaks(strangers, [hidden]) == [Leak("a", "s0", "b", "h", "same pair", 2)]


def test_no_tasks_are_no_leaks() -> None:
    assert find_leaks([], []) == []


def test_the_gate_sees_reversed_sources_and_the_task_itself(tmp_path: Path) -> None:
    tasks = [random_task(f"t{n}", "toy", n) for n in range(4)]
    store_source(tmp_path, SourceInfo("toy", "made up", "1", "none", "0"), tasks)
    add_flag(tmp_path, "t1", "toy", "yes", "me")
    reverse = MixtureSettings(sources=(SourceShare(source="reversed:toy"),))
    leak = Leak("reversed:toy", "t1-reversed", "toy", "t1", "same family", 3)
    assert mixture_leaks(tmp_path, reverse, tasks).leaks == (leak,)
    assert mixture_leaks(tmp_path, reverse, [tasks[0]]).leaks == ()
    forwards = MixtureSettings(sources=(SourceShare(source="toy"),))
    itself = Leak("toy", "t2", "toy", "t2", "same id", 3)
    assert mixture_leaks(tmp_path, forwards, [tasks[2]]).leaks == (itself,)


def names(leaks: list[Leak]) -> set[tuple[str, str]]:
    return {(leak.task_a, leak.task_b) for leak in leaks}


def test_the_traps_of_arc_are_found(arc: Path) -> None:
    held = leaks_between(arc, ["arc2/training"], ["arc1/evaluation"])
    assert sum(leak.kind == "same id" for leak in held) == 376
    within = {
        (leak.task_a, leak.task_b): leak
        for leak in leaks_between(arc, ["arc1/training"], ["arc1/evaluation"])
    }
    assert set(within) == {("40853293", "070dd51e"), ("caa06a1f", "50a16a69")}
    assert within["40853293", "070dd51e"].pairs == 3
    assert within["caa06a1f", "50a16a69"].kind == "same pair"
    families = related_families(arc)
    assert families["40853293"] == families["070dd51e"]
    assert "50a16a69" not in families


def test_a_pool_inherits_the_family_that_its_original_shares(arc: Path) -> None:
    pool = Task("40853293", "re-arc", "40853293", random_task("p", "p", 8, pairs=6).pairs, (), 3)
    leaks = find_leaks([pool], load_tasks(arc, "arc1/evaluation").values(), related_families(arc))
    assert leaks == [Leak("re-arc", "40853293", "arc1/evaluation", "070dd51e", "same family", 0)]


def test_the_traps_of_the_other_sets_are_found_in_time(public: Path) -> None:
    concept = names(leaks_between(public, ["arc1/training"], ["concept-arc"]))
    assert ("ea786f4a", "ExtendToBoundary5") in concept
    assert len(leaks_between(public, ["mini-arc"], ["mini-arc"])) == 2
    assert names(leaks_between(public, ["re-arc"], ["arc1/evaluation"])) == {("40853293", "070dd51e")}
    every = [info.source for info in list_sources(public)]
    assert len(every) == 7
    started = time.process_time()
    assert len(leaks_between(public, every, every)) > 1500
    assert time.process_time() - started < 60 * slowness()


def small_task(task_id: str, source: str, *, seed: int = 0) -> Task:
    """A task of 3×3 grids whose answer is one cell: all of its pairs together are worth less than 12 bits."""
    rng = np.random.default_rng(seed)
    pairs = [
        Pair(np.where(rng.random((3, 3)) < 0.5, colour, 0).astype(np.uint8), np.full((1, 1), end, np.uint8))
        for colour, end in ((1, 2), (1, 3), (4, 2), (4, 3))
    ]
    return Task(task_id, source, task_id, tuple(pairs[:-1]), (pairs[-1],))


def test_a_whole_task_is_a_leak_however_small() -> None:
    task = small_task("a", "a")
    twin = renamed(VIEW.apply(task), "b", "b")
    shuffled = Task("b", "b", "b", twin.pairs[::-1][:2], twin.pairs[::-1][2:])
    assert find_leaks([task], [shuffled]) == [Leak("a", "a", "b", "b", "same pair", 4)]
    turned = renamed(twin.reverse(), "b", "b")
    assert find_leaks([task], [turned]) == [Leak("a", "a", "b", "b", "reversed pair", 4)]
    partition = find_leaks([task, twin], [task, twin])
    assert partition == [Leak("a", "a", "b", "b", "same pair", 4)]


def test_a_small_task_inside_a_pool_is_a_leak() -> None:
    task = small_task("a", "a")
    pool = Task("p", "b", "p", (*VIEW.apply(task).pairs, *small_task("x", "x", seed=1).pairs), (), 3)
    assert names(find_leaks([pool], [task])) == {("p", "a")}
    assert names(find_leaks([task], [pool])) == {("a", "p")}


def test_pairs_that_agree_under_different_recolourings_are_no_twins() -> None:
    """Two maps of colours have the same pairs one by one, and are different tasks all the same."""

    def mapping(task_id: str, source: str, steps: dict[int, int]) -> Task:
        grids = [np.full((3, 1), colour, dtype=np.uint8) for colour in range(10)]
        pairs = [Pair(grids[a], grids[b]) for a, b in steps.items()]
        return Task(task_id, source, task_id, tuple(pairs[:-1]), (pairs[-1],))

    circle = mapping("a", "a", {1: 2, 2: 3, 3: 1})
    assert find_leaks([circle], [mapping("b", "b", {1: 2, 2: 3, 3: 4})]) == []
    assert names(find_leaks([circle], [mapping("b", "b", {7: 5, 5: 9, 9: 7})])) == {("a", "b")}


def test_a_single_small_pair_is_a_coincidence_among_many() -> None:
    pairs = small_task("a", "a").pairs
    single = Task("s", "s", "s", pairs[:1], ())
    assert find_leaks([small_task("a", "a")], [single]) == []
    assert names(find_leaks([Task("t", "t", "t", VIEW.apply(single).pairs, ())], [single])) == {("t", "s")}
