"""The large experiments that are measured on, each in a project of its own, made once per folder.

`hundred_runs`: 10 variants × 10 runs × 400 tasks (420 outputs) × 64 attempts, 2.7 million predictions.
Beside it stands `four-runs`, small, for what is to be loaded before something is measured.
`thousand_runs`: 10 variants × 100 runs with the scores and records of the first, copied under other seeds.
A project counts as made when its `made.json` exists, which is written last.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.arc.tasks import Task
from core.curation.stored import SourceInfo, store_source
from core.machine.processes import Notify
from core.runs.layout import Run
from core.storage.files import append_records, read_json, write_json
from core.storage.schemas import SCORES, write_table
from core.synthetic.experiments import SOURCE, freeze, make_experiment, make_run, make_tasks

HUNDRED, THOUSAND, SMALL = "hundred-runs", "thousand-runs", "four-runs"
VARIANTS = ("baseline", *(f"recipe-{place}" for place in range(1, 10)))
SKILLS = {name: 0.15 * place for place, name in enumerate(VARIANTS)}
TASKS, ATTEMPTS, SECOND_TEST_EVERY, SIDES = 400, 64, 21, (5, 26)
MADE, VERSION = "made.json", 3


def large_tasks() -> list[Task]:
    """400 tasks with 420 test outputs of 236 cells on average: as many and as large as those of ARC-1's
    evaluation set, which has 419 of 235."""
    return make_tasks(TASKS, SIDES, SECOND_TEST_EVERY)


def hundred_runs(folder: Path, notify: Notify) -> Path:
    """The project that holds the experiment `hundred-runs`; made in about a minute where it is not there."""
    return _made(folder / HUNDRED, _make_hundred, notify)


def thousand_runs(folder: Path, notify: Notify) -> Path:
    """The project that holds the experiment `thousand-runs`."""
    hundred = hundred_runs(folder, notify)
    return _made(folder / THOUSAND, lambda root, notify: _make_thousand(root, hundred, notify), notify)


def _made(root: Path, make: Callable[[Path, Notify], None], notify: Notify) -> Path:
    if (root / MADE).exists() and read_json(root / MADE).get("version") == VERSION:
        return root
    shutil.rmtree(root, ignore_errors=True)
    began = time.monotonic()
    make(root, notify)
    write_json(root / MADE, {"version": VERSION, "seconds": round(time.monotonic() - began, 1)})
    return root


def _make_hundred(root: Path, notify: Notify) -> None:
    notify(f"making {HUNDRED}: 2.7 million predictions, about a minute")
    few = {"baseline": 0.0, "recipe-1": 0.15}
    make_experiment(root, SMALL, few, runs=2, evaluations=1, tasks=large_tasks(), attempts=4)
    make_experiment(root, HUNDRED, SKILLS, runs=10, evaluations=1, tasks=large_tasks(), attempts=ATTEMPTS)


def _make_thousand(root: Path, hundred: Path, notify: Notify) -> None:
    notify(f"making {THOUSAND}")
    store_source(root, SourceInfo(SOURCE, "made up", "1", "none", "0"), large_tasks())
    spec = freeze(root, THOUSAND, SKILLS, 100, 1, ATTEMPTS)
    for variant in VARIANTS:
        for seed in spec.train_seeds:
            run = make_run(root, spec, variant, seed)
            _report(run)
            scores = Run(hundred, HUNDRED, variant, seed % 10).scores(0)
            _copy_scores(scores, run.scores(0), seed)


def _report(run: Run) -> None:
    """What a run of 200 steps leaves in its progress and its log."""
    steps = [
        {"time": 1e9 + step, "stage": "train", "step": step, "total": 200, "loss": 3 / (1 + step)}
        for step in range(1, 201)
    ]
    append_records(run.progress_file, steps)
    (run.log_file).write_text("a line of a log\n" * 200, encoding="utf-8")


def _copy_scores(source: Path, target: Path, train_seed: int) -> None:
    table = pq.read_table(source, partitioning=None)
    seeds = pa.array([train_seed] * table.num_rows, pa.int64())
    names = pa.array([THOUSAND] * table.num_rows, pa.string())
    for name, values in (("train_seed", seeds), ("experiment", names)):
        table = table.set_column(table.column_names.index(name), name, values)
    write_table(target, table, SCORES)
