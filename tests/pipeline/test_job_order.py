"""The order of runs: scores of each variant soon, then seeds across all variants, and never a free slot."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.launching.launch import prepare
from core.pipeline import job_order
from core.pipeline.conductor import Conductor
from core.pipeline.executor import Job, deal_out
from core.pipeline.job_order import jobs_of, most_parts, planned_jobs
from core.runs.done import EVERY_STAGE
from core.runs.layout import Run
from core.runs.state import begin, fail, finish, queue_for, read_state
from core.storage.files import read_json, write_json
from tests.pipeline.trivial import trivial_root
from tests.specs.tiny import spec_of

VARIANTS = {"a": None, "b": {"training": {"steps": 7}}, "c": {"training": {"steps": 8}}, "plain": None}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return trivial_root(tmp_path)


@pytest.fixture
def runs(root: Path) -> list[Run]:
    """Four variants with three seeds each, queued for their trainings."""
    return prepare(root, spec_of(root, variants=VARIANTS, train_seeds=[0, 1, 2]), ["launch"])


@dataclass
class Clockwork:
    """An executor of so many slots in which a job takes the time of its stage, and the jobs as begun."""

    slots: int
    seconds: dict[str, float]
    now: float = 0.0
    ends: dict[Job, float] = field(default_factory=dict)
    begun: list[tuple[float, Job]] = field(default_factory=list)
    scored: dict[Run, float] = field(default_factory=dict)
    idle_with_work: list[float] = field(default_factory=list)
    seconds_to_stop: float | None = None
    large: set[str] = field(default_factory=set)
    """Variants whose jobs take all slots."""

    def room(self) -> int:
        return self.slots - sum(self.takes(job) for job in self.ends)

    def takes(self, job: Job) -> int:
        return self.slots if self.large & {run.variant for run in job.runs} else 1

    def start(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.ends[job] = self.now + self.seconds[job.stages[0]]
            self.begun.append((self.now, job))
            for run in job.runs:
                begin(run, job.stages[0])

    def is_alive(self, job: Job) -> bool:
        return self.ends[job] > self.now

    def ask_to_stop(self, job: Job) -> None: ...

    def stop(self, job: Job) -> None: ...

    def how_it_ended(self, job: Job) -> str | None:
        del self.ends[job]
        return None

    def go_on(self) -> None:
        """Let the time pass until a job ends; all that end then have written their states."""
        self.now = min(self.ends.values())
        for job in [job for job, end in self.ends.items() if end == self.now]:
            for run in job.runs:
                if job.stages[0] == "train":
                    queue_for(run, "infer")
                else:  # an inference scores at once
                    finish(run)
                    self.scored[run] = self.now


def worked_through(runs: list[Run], clock: Clockwork) -> list[int]:
    """Let the conductor see all runs through, from end to end of jobs; how many runs were done each time it
    called that the experiment may have ended."""
    told: list[int] = []
    conductor = Conductor(
        lambda taken: list(jobs_of(runs, taken)),
        clock,
        lambda _: None,
        lambda _: told.append(len(clock.scored)),
    )
    while conductor.begin_jobs() or conductor.busy:
        taken = {run for job in clock.ends for run in job.runs}
        if clock.room() and any(True for _ in jobs_of(runs, taken.__contains__)):
            clock.idle_with_work.append(clock.now)
        clock.go_on()
        conductor.look()
    return told


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
@pytest.mark.parametrize("short", [True, False])
def test_every_run_is_done_and_no_slot_is_free_while_something_can_run(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch, slots: int, short: bool
) -> None:
    monkeypatch.setattr(job_order, "is_short_training", lambda _: short)
    clock = Clockwork(slots, {"train": 3.0, "infer": 2.0})
    told = worked_through(runs, clock)
    assert set(clock.scored) == set(runs) and clock.idle_with_work == []
    assert told.count(len(runs)) == 1  # however many jobs were the last


def test_a_large_model_waits_for_all_cores_and_lets_nothing_pass(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_order, "is_short_training", lambda _: False)
    clock = Clockwork(2, {"train": 3.0, "infer": 2.0}, large={"b"})
    worked_through(runs, clock)
    assert set(clock.scored) == set(runs)
    spans = [(at, at + clock.seconds[job.stages[0]], job) for at, job in clock.begun]
    beside = [
        (job, other)
        for begin, end, job in spans
        for begun, ended, other in spans
        if job != other and begin < ended and begun < end
    ]
    assert beside, "small ones share the machine"
    assert not [run for pair in beside for job in pair for run in job.runs if run.variant == "b"]
    first = {run.variant: at for at, job in reversed(clock.begun) for run in job.runs}
    assert first["a"] < first["b"] < first["c"], "the small ones behind it wait, too"


def test_after_long_trainings_each_variant_has_scores_before_any_second_seed(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_order, "is_short_training", lambda _: False)
    clock = Clockwork(1, {"train": 100.0, "infer": 5.0})
    worked_through(runs, clock)
    first = {variant: min(at for run, at in clock.scored.items() if run.variant == variant) for variant in
             {run.variant for run in runs}}  # fmt: skip
    assert sorted(first.values()) == [105.0, 210.0, 315.0, 420.0], (
        "one training and its answers after another"
    )
    seeds = [seed for _, seed in sorted((at, run.train_seed) for run, at in clock.scored.items())]
    assert seeds == sorted(seeds), "a seed is finished across all variants before the next"


def test_short_trainings_share_an_engine_that_takes_as_long_to_start(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_order, "is_short_training", lambda _: True)
    clock = Clockwork(1, {"train": 3.0, "infer": 10.0})
    worked_through(runs, clock)
    inferences = [len(job.runs) for _, job in clock.begun if job.stages == ("infer",)]
    assert inferences == [4, 8], "first scores of four variants at once, and then all others"


def test_a_run_that_trained_early_does_not_wait_for_seven_others(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is trained, and a slot is free: its inference begins, though others still train."""
    monkeypatch.setattr(job_order, "is_short_training", lambda _: True)
    eight = runs[:8]
    for run in eight[1:]:
        begin(run, "train")
    queue_for(eight[0], "infer")
    busy = set(eight[1:])
    (job,) = jobs_of(eight, busy.__contains__)
    assert job == Job(("infer",), (eight[0],))


def test_living_runs_come_first_and_then_the_earlier_launch(root: Path, runs: list[Run]) -> None:
    (later,) = prepare(root, spec_of(root, name="later"), ["launch"])
    begin(later, "train")
    later.heartbeat.touch()
    jobs = planned_jobs(root)
    assert jobs[0].runs == (later,) and {run for job in jobs for run in job.runs} == {later, *runs}
    queue_for(later, "train")
    assert planned_jobs(root)[-1].runs == (later,)


def test_what_failed_or_was_stopped_is_not_planned(runs: list[Run]) -> None:
    fail(runs[0], "Why.")
    runs[1].stop_file.write_text("{}")
    finish(runs[2])
    assert {run for job in jobs_of(runs) for run in job.runs} == set(runs[3:])
    state = read_state(runs[0])
    assert state is not None and state.error == "Why."


def test_adapters_of_one_base_are_dealt_out_over_free_slots(runs: list[Run]) -> None:
    for run in runs:
        queue_for(run, "infer")
    clock = Clockwork(5, {"infer": 2.0})
    worked_through(runs, clock)
    assert sorted(len(job.runs) for _, job in clock.begun) == [2, 2, 2, 3, 3]
    assert sorted(run.name for _, job in clock.begun for run in job.runs) == sorted(run.name for run in runs)
    assert set(clock.scored.values()) == {2.0}, "all at once"


def test_groups_of_one_run_are_dealt_out_over_the_slots_that_other_jobs_leave(runs: list[Run]) -> None:
    groups, alone = Job(("adapt",), (runs[0],), most_parts=3), Job(("train",), (runs[1],))
    for room, parts in ((1, 1), (2, 1), (3, 2), (9, 3)):
        assert [job.parts for job in deal_out([groups, alone], room)] == [parts, 1]
    parted = Job(("infer",), (runs[0],), parts=4)
    assert deal_out([parted], 99) == [parted], "as a cluster plans it"
    begin(runs[0], "adapt")
    runs[0].heartbeat.touch()
    assert deal_out([groups], 9) == [groups]


@pytest.mark.parametrize(("groups", "parts"), [("task", 5), (2, 3), ("all", 1), (0, 1), ("x", 1), ([], 1)])
def test_a_stage_has_as_many_parts_as_groups(runs: list[Run], groups: Any, parts: int) -> None:
    record = read_json(runs[0].record_file)
    record["evaluated"]["tasks"] = 5
    record["recipe"]["test_time"] = {"groups": groups}
    write_json(runs[0].record_file, record)
    assert [most_parts(runs[0], stage) for stage in EVERY_STAGE] == [1, parts, parts, 1]
    assert most_parts(runs[1], "adapt") == 1, "without test-time training"
    queue_for(runs[0], "adapt")
    (job,) = (job for job in jobs_of(runs) if runs[0] in job.runs)
    assert (job.parts, job.most_parts) == (1, parts)


def test_a_job_that_somebody_works_on_stays_whole(runs: list[Run]) -> None:
    job, alone = Job(("infer",), tuple(runs[:4])), Job(("train",), (runs[4],))
    assert [len(one.runs) for one in deal_out([job, alone], 4)] == [2, 1, 1, 1]
    assert deal_out([job, alone], 2) == [job, alone]
    assert len(deal_out([job], 99)) == 4
    for run in job.runs:
        begin(run, "infer")
        run.heartbeat.touch()
    assert deal_out([job, alone], 4) == [job, alone]
