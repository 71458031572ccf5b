"""Made-up experiments with the files that real ones leave: spec, run records, predictions, scores.

Tasks differ in difficulty, trainings in luck; an attempt is right, wrong in a few popular ways, of the wrong
size, or no grid at all. Scores are made from the predictions by the project's own scoring.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from core.arc.grids import Grid
from core.arc.tasks import Pair, Task
from core.curation.stored import SourceInfo, store_source
from core.experiments.records import describe_tasks
from core.experiments.runs import Run, RunState, say_state
from core.experiments.spec import ExperimentSpec
from core.scoring.scores import score
from core.seeds import generator
from core.settings import validated
from core.storage.files import write_json, write_text
from core.storage.schemas import PREDICTIONS, grid_columns, write_table

SOURCE = "toy/evaluation"
SKILLS = {"plain": 0.0, "more-colours": 0.15, "twice-as-long": 1.3}
TRAINING_NOISE = 0.25


def make_tasks(count: int = 40) -> list[Task]:
    """Tasks with small random outputs; every fifth has two test pairs."""
    rng = generator(0, "tasks")
    tasks = []
    for number in range(count):
        pairs = [Pair(_grid(rng), _grid(rng)) for _ in range(4)]
        tests = 2 if number % 5 == 0 else 1
        name = f"{number:02x}{'abcdef'[number % 6] * 6}"
        tasks.append(Task(name, SOURCE, name, tuple(pairs[: 4 - tests]), tuple(pairs[4 - tests :])))
    return tasks


def _grid(rng: np.random.Generator) -> Grid:
    return rng.integers(0, 10, size=tuple(rng.integers(2, 6, 2)), dtype=np.uint8)


def make_experiment(
    root: Path,
    name: str = "my-question",
    skills: Mapping[str, float] = SKILLS,
    *,
    runs: int = 3,
    evaluations: int = 2,
    tasks: int = 40,
    attempts: int = 8,
    seed: int = 0,
) -> ExperimentSpec:
    """Write a whole experiment; the first variant is the baseline."""
    chosen = make_tasks(tasks)
    store_source(root, SourceInfo(SOURCE, "made up", "1", "none", "0"), chosen)
    spec = freeze(root, name, skills, runs, evaluations, attempts)
    for variant, skill in skills.items():
        for train_seed in spec.train_seeds:
            make_run(root, spec, variant, train_seed)
            luck = skill + TRAINING_NOISE * generator(seed, name, variant, train_seed).normal()
            for eval_seed in spec.eval_seeds:
                make_evaluation(root, spec, variant, train_seed, eval_seed, chosen, luck)
    return spec


def freeze(
    root: Path, name: str, skills: Mapping[str, float], runs: int, evaluations: int, attempts: int
) -> ExperimentSpec:
    """Write `experiment.yaml` as a launch does."""
    value = {
        "name": name,
        "question": "Which recipe solves more tasks?",
        "baseline": next(iter(skills)),
        "metrics": ["accuracy", "correct_pixels", "vote_2", "unanswered"],
        "train_seeds": list(range(runs)),
        "eval_seeds": list(range(evaluations)),
        "recipe": {
            "base_model": "tiny",
            "mixture": {"sources": [{"source": SOURCE}]},
            "training": {"method": "full", "steps": 10},
        },
        "variants": {
            variant: {} if place == 0 else {"training": {"steps": 10 * (place + 1)}}
            for place, variant in enumerate(skills)
        },
        "evaluation": {"sources": [{"source": SOURCE}], "inference": {"attempts": attempts}},
    }
    spec = validated(ExperimentSpec, value, name)
    text = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(root / "runs" / name / "experiment.yaml", text)
    return spec


def make_run(root: Path, spec: ExperimentSpec, variant: str, train_seed: int) -> Run:
    """The folder of a finished run, without its weights."""
    run = Run(root, spec.name, variant, train_seed)
    record = {
        "experiment": spec.name,
        "variant": variant,
        "train_seed": train_seed,
        "recipe": spec.recipe_of(variant).model_dump(mode="json"),
        "evaluation": spec.evaluation.model_dump(mode="json"),
        "evaluated": describe_tasks(make_tasks(2)),
        "engine": {"name": "made up", "version": "1"},
    }
    write_json(run.folder / "run.json", record)
    say_state(run, RunState("done"))
    return run


def make_evaluation(
    root: Path,
    spec: ExperimentSpec,
    variant: str,
    train_seed: int,
    eval_seed: int,
    tasks: list[Task],
    skill: float,
) -> Path:
    """Predictions and scores of one evaluation; its folder."""
    folder = Run(root, spec.name, variant, train_seed).eval_folder(eval_seed)
    key = {
        "experiment": spec.name,
        "variant": variant,
        "train_seed": train_seed,
        "eval_seed": eval_seed,
    }
    rng = generator(eval_seed, spec.name, variant, train_seed, "attempts")
    answers = list(_answers(tasks, spec.evaluation.inference.attempts, skill, rng))
    records = [{**key, **record} for record, _ in answers]
    columns = {name: [record[name] for record in records] for name in records[0]}
    grids = grid_columns("output", [grid for _, grid in answers])
    table = pa.table({**columns, **grids}, schema=PREDICTIONS)
    write_table(folder / "predictions.parquet", table, PREDICTIONS)
    score(folder / "predictions.parquet", tasks, folder / "scores.parquet", **key)
    return folder


def _answers(
    tasks: list[Task], attempts: int, skill: float, rng: np.random.Generator
) -> Iterator[tuple[dict[str, Any], Grid | None]]:
    for task in tasks:
        difficulty = generator(0, "difficulty", task.task_id).normal(1.5, 2.0)
        chance = 1 / (1 + np.exp(difficulty - skill))
        for test_index, pair in enumerate(task.test):
            assert pair.output is not None
            for attempt in range(attempts):
                yield _record(task, test_index, attempt, rng), _answer(pair.output, chance, rng)


def _answer(truth: Grid, chance: float, rng: np.random.Generator) -> Grid | None:
    luck = rng.random()
    if luck < chance:
        return truth
    kind = rng.choice(4, p=[0.55, 0.25, 0.15, 0.05])
    if kind == 3:
        return None
    if kind == 2:
        return np.zeros((truth.shape[0] + 1, truth.shape[1]), dtype=np.uint8)
    wrong = truth.copy()
    wrong[0, 0] = (wrong[0, 0] + 1 + kind) % 10
    return wrong


def _record(task: Task, test_index: int, attempt: int, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "source": task.source,
        "task_id": task.task_id,
        "test_index": test_index,
        "attempt": attempt,
        "symmetry": attempt % 8,
        "colours": bytes(range(10)),
        "pair_order": bytes(range(len(task.train))),
        "prompt_tokens": 100,
        "output_tokens": 20,
        "finish_reason": "stop",
        "logprob": -float(rng.exponential(5)),
        "text": "made up",
    }
