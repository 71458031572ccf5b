"""While runs go on: curves that are read on, and an experiment at a glance."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from core.monitoring.loss_curve import Curve
from core.monitoring.overview import launched_experiments, overview
from core.runs.layout import Run
from core.runs.progress import share_done
from core.runs.state import RunState, write_state
from core.specs.edit import as_yaml
from core.storage.files import append_records, write_json
from tests.training.tiny import tiny_spec


def reports(*steps: int, loss: float = 1.0) -> list[dict[str, object]]:
    return [{"stage": "train", "step": step, "loss": loss / step} for step in steps]


def test_a_curve_is_read_on_from_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    curve = Curve(path)
    curve.read()
    assert curve.points() == ([], [])
    append_records(path, reports(1, 2))
    curve.read()
    append_records(path, [*reports(3), {"stage": "infer", "step": 9}])
    with path.open("a") as file:
        file.write('{"stage": "train", "st')  # a line that is being written
    curve.read()
    assert curve.points() == ([1, 2, 3], [1.0, 0.5, 1 / 3])


def test_a_step_that_was_repeated_counts_as_last_reported(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    append_records(path, [*reports(1, 2, 3), *reports(2, loss=8.0)])
    curve = Curve(path)
    curve.read()
    assert curve.points() == ([1, 2], [1.0, 4.0])


def test_what_validations_found_stands_at_their_steps(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    looked = [{**one, "validation_accuracy": 0.25 * one["step"]} for one in reports(2, 4)]  # type: ignore[operator]
    append_records(path, [*reports(1), looked[0], *reports(3), looked[1], looked[1]])
    curve = Curve(path)
    curve.read()
    assert curve.looked_at("validation_accuracy") == ([2, 4], [0.5, 1.0])
    assert curve.looked_at("seen_accuracy") == ([], [])
    assert curve.points()[0] == [1, 2, 3, 4]


def test_a_run_that_was_launched_anew_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    append_records(path, reports(1, 2))
    curve = Curve(path)
    curve.read()
    path.rename(tmp_path / "trash")
    curve.read()
    assert curve.points() == ([], [])
    append_records(path, reports(1, loss=7.0))
    curve.read()
    assert curve.points() == ([1], [7.0])


@given(some.lists(some.floats(0, 10), min_size=1, max_size=300), some.integers(2, 40))
def test_thinning_keeps_order_ends_of_the_range_and_the_bound(losses: list[float], most: int) -> None:
    curve = Curve(Path("nowhere"))
    curve.steps, curve.losses = list(range(1, len(losses) + 1)), losses
    steps, kept = curve.points(most)
    assert len(steps) == len(kept) <= max(most, 2)
    assert steps == sorted(set(steps))
    assert all(losses[step - 1] == loss for step, loss in zip(steps, kept, strict=True))
    assert (min(kept), max(kept)) == (min(losses), max(losses))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An experiment whose variants do not stand in the order of the alphabet."""
    folder = tmp_path / "runs" / "trial"
    folder.mkdir(parents=True)
    spec = tiny_spec(variants={"plain": None, "longer": None}, train_seeds=[0, 1])
    (folder / "experiment.yaml").write_text(as_yaml(spec))
    for variant in ("longer", "plain"):
        for seed in (1, 0):
            one = Run(tmp_path, "trial", variant, seed)
            write_json(one.folder / "run.json", {})
            write_state(one, RunState("queued", "train"))
    return tmp_path


def wait_long(root: Path) -> None:
    before = time.time() - 60
    os.utime(root / "runs" / "trial" / "experiment.yaml", (before, before))


def test_runs_stand_in_the_order_of_the_spec(root: Path) -> None:
    runs = overview(root, "trial").runs
    assert [(run["variant"], run["train_seed"]) for run in runs] == [
        ("plain", 0), ("plain", 1), ("longer", 0), ("longer", 1),
    ]  # fmt: skip


def test_the_states_are_summed_up(root: Path) -> None:
    write_state(Run(root, "trial", "plain", 0), RunState("done"))
    write_state(Run(root, "trial", "plain", 1), RunState.running_here("train", step=3, total=6))
    write_state(Run(root, "trial", "longer", 0), RunState("failed", "infer", error="Why."))
    wait_long(root)
    seen = overview(root, "trial")
    assert seen.sentence == "1 of 4 runs done, 1 running, 1 queued, 1 failed"
    assert (seen.active, seen.stalled) == (True, False)
    assert [share_done(run) for run in seen.runs] == [1.0, 0.5, 0.0, 0.0]


def test_queued_runs_that_nothing_works_on_are_stalled_after_a_while(root: Path) -> None:
    assert (overview(root, "trial").active, overview(root, "trial").stalled) == (True, False)
    wait_long(root)
    assert (overview(root, "trial").active, overview(root, "trial").stalled) == (False, True)


def test_imported_results_are_no_launch(root: Path) -> None:
    imported = root / "runs" / "imported"
    imported.mkdir()
    (imported / "experiment.yaml").write_text("name: imported\n")
    assert launched_experiments(root) == ["trial"]
