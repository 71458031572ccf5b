"""Made-up experiments with the files that real ones leave: source, spec, run records, predictions, scores.

Tasks differ in difficulty, trainings in luck, and each training finds other tasks easy. An attempt is right,
wrong in one of a few popular ways or in its own, of the wrong size, or no grid at all. Scores are made from
the predictions by the project's own scoring.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from core.arc.grids import Grid
from core.arc.tasks import Pair, Task
from core.curation.stored import SourceInfo, store_source
from core.experiments.provenance import describe_tasks
from core.runs.layout import Run, spec_path
from core.runs.state import RunState, write_state
from core.scoring.metrics import Floats
from core.scoring.scores import Scoring, score, truths_of
from core.seeds import generator
from core.settings import validated
from core.specs.spec import ExperimentSpec
from core.storage.evaluation_files import PREDICTIONS_FILE
from core.storage.files import write_json, write_text
from core.storage.schemas import PREDICTIONS, write_table

SOURCE = "toy/evaluation"
SKILLS = {"plain": 0.0, "more-colours": 0.15, "twice-as-long": 1.3}
TRAINING_NOISE, INTERPLAY_NOISE = 0.25, 0.3
POPULAR = 6
"""Wrong answers of the right size that are given again and again, the first the oftenest."""
KINDS = {"popular": 0.6, "own": 0.2, "size": 0.15, "none": 0.05}
"""How wrong attempts are wrong."""

Answer = tuple[bytes | None, int | None, int | None, str]


@dataclass(frozen=True)
class Toy:
    """Tasks, with the answers that they get: for each test output truth, popular wrong ones, a wrong size,
    none; and the chance of each wrong kind, summed up, shape (outputs, POPULAR + 3)."""

    tasks: tuple[Task, ...]
    outputs: tuple[tuple[Task, int], ...]
    answers: tuple[tuple[Answer, ...], ...]
    wrong: Floats
    difficulty: Floats


def make_tasks(count: int = 40, sides: tuple[int, int] = (2, 5), second_test_every: int = 5) -> list[Task]:
    """Tasks with random grids, `sides` from … to; every fifth (or so) has two test pairs."""
    rng = generator(0, "tasks")
    tasks = []
    for number in range(count):
        pairs = [Pair(_grid(rng, sides), _grid(rng, sides)) for _ in range(4)]
        tests = 2 if number % second_test_every == 0 else 1
        name = f"{number:02x}{'abcdef'[number % 6] * 6}"
        tasks.append(Task(name, SOURCE, name, tuple(pairs[: 4 - tests]), tuple(pairs[4 - tests :])))
    return tasks


def _grid(rng: np.random.Generator, sides: tuple[int, int]) -> Grid:
    return rng.integers(0, 10, size=tuple(rng.integers(sides[0], sides[1] + 1, 2)), dtype=np.uint8)


def make_experiment(
    root: Path,
    name: str = "my-question",
    skills: Mapping[str, float] = SKILLS,
    *,
    runs: int = 3,
    evaluations: int = 2,
    tasks: int | Sequence[Task] = 40,
    attempts: int = 8,
    seed: int = 0,
) -> ExperimentSpec:
    """Write a whole experiment; the first variant is the baseline."""
    chosen = make_tasks(tasks) if isinstance(tasks, int) else list(tasks)
    store_source(root, SourceInfo(SOURCE, "made up", "1", "none", "0"), chosen)
    toy = toy_of(chosen)
    spec = freeze(root, name, skills, runs, evaluations, attempts)
    for variant, skill in skills.items():
        for train_seed in spec.train_seeds:
            make_run(root, spec, variant, train_seed)
            rng = generator(seed, name, variant, train_seed)
            luck = skill + TRAINING_NOISE * rng.normal()
            skill_at = luck + INTERPLAY_NOISE * rng.normal(size=len(toy.outputs))
            for eval_seed in spec.eval_seeds:
                make_evaluation(root, spec, variant, train_seed, eval_seed, toy, skill_at)
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
    write_text(spec_path(root, name), text)
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
    write_json(run.record_file, record)
    write_state(run, RunState("done"))
    return run


def toy_of(tasks: Sequence[Task]) -> Toy:
    """How the outputs of these tasks are answered; the same for the same tasks."""
    outputs = [(task, index) for task in tasks for index in range(len(task.test))]
    hard = {task.task_id: generator(0, "difficulty", task.task_id).normal(1.5, 3.0) for task in tasks}
    answers, wrong = [], []
    for task, index in outputs:
        rng = generator(0, "answers", task.task_id, index)
        truth = task.test[index].output
        assert truth is not None
        answers.append(tuple(_answers(truth, rng)))
        popular = KINDS["popular"] * rng.dirichlet(2.0 ** -np.arange(POPULAR) + 0.1)
        wrong.append([*np.sort(popular)[::-1], KINDS["own"], KINDS["size"], KINDS["none"]])
    difficulty = np.array([hard[task.task_id] for task, _ in outputs])
    return Toy(tuple(tasks), tuple(outputs), tuple(answers), np.cumsum(wrong, axis=1), difficulty)


def _answers(truth: Grid, rng: np.random.Generator) -> Iterator[Answer]:
    """The truth, the popular wrong answers (1 to 6 cells off), one of a wrong size, none."""
    yield _answer(truth)
    for cells in range(1, POPULAR + 1):
        yield _answer(_changed(truth, min(cells, truth.size), rng))
    yield _answer(np.zeros((truth.shape[0] % 30 + 1, truth.shape[1]), dtype=np.uint8))
    yield None, None, None, "no grid"


def _changed(truth: Grid, cells: int, rng: np.random.Generator) -> Grid:
    grid = truth.copy()
    places = rng.choice(truth.size, cells, replace=False)
    grid.flat[places] = (grid.flat[places] + rng.integers(1, 10, cells)) % 10
    return grid


def _answer(grid: Grid) -> Answer:
    text = "\n".join("".join(map(str, row)) for row in grid.tolist())
    return grid.tobytes(), *grid.shape, text


def make_evaluation(
    root: Path,
    spec: ExperimentSpec,
    variant: str,
    train_seed: int,
    eval_seed: int,
    toy: Toy,
    skill: float | Floats,
) -> Path:
    """Predictions and scores of one evaluation; its folder. `skill` is one number, or one per output."""
    folder = Run(root, spec.name, variant, train_seed).eval_folder(eval_seed)
    key: dict[str, Any] = {
        "experiment": spec.name,
        "variant": variant,
        "train_seed": train_seed,
        "eval_seed": eval_seed,
    }
    rng = generator(eval_seed, spec.name, variant, train_seed, "attempts")
    table = predictions(toy, spec.evaluation.inference.attempts, skill, rng, key)
    write_table(folder / PREDICTIONS_FILE, table, PREDICTIONS)
    score(Scoring(folder, **key), truths_of(toy.tasks))
    return folder


def predictions(
    toy: Toy, attempts: int, skill: float | Floats, rng: np.random.Generator, key: Mapping[str, Any]
) -> pa.Table:
    """The attempts of one evaluation, output by output."""
    shape = (len(toy.outputs), attempts)
    chance = 1 / (1 + np.exp(toy.difficulty - skill))
    right = rng.random(shape) < chance[:, None]
    luck = rng.random(shape)
    kinds = np.where(right, 0, 1 + (luck[:, :, None] >= toy.wrong[:, None, :-1]).sum(axis=2)).tolist()
    answers = [
        _own(toy.answers[output][0], rng)
        if kind == POPULAR + 1
        else toy.answers[output][kind - (kind > POPULAR)]
        for output, row in enumerate(kinds)
        for kind in row
    ]
    cells, heights, widths, texts = zip(*answers, strict=True)
    owners = [one for one in toy.outputs for _ in range(attempts)]
    count = len(answers)
    colours = rng.permuted(np.tile(np.arange(10, dtype=np.uint8), (count, 1)), axis=1)
    columns = {
        **{name: [value] * count for name, value in key.items()},
        "source": [task.source for task, _ in owners],
        "task_id": [task.task_id for task, _ in owners],
        "test_index": [index for _, index in owners],
        "attempt": np.tile(np.arange(attempts), shape[0]),
        "symmetry": np.tile(np.arange(attempts) % 8, shape[0]),
        "colours": [row.tobytes() for row in colours],
        "pair_order": [bytes(range(len(task.train))) for task, _ in owners],
        "prompt_tokens": [100] * count,
        "output_tokens": [20] * count,
        "finish_reason": ["stop"] * count,
        "logprob": -rng.exponential(5, count),
        "text": texts,
        "output_cells": cells,
        "output_h": heights,
        "output_w": widths,
    }
    return pa.table(columns, schema=PREDICTIONS)


def _own(truth: Answer, rng: np.random.Generator) -> Answer:
    """A wrong answer of the right size that hardly anybody else gives."""
    cells, height, width, _ = truth
    assert cells is not None and width is not None
    places = rng.integers(0, len(cells), 3)
    changed = bytearray(cells)
    for place, colour in zip(places.tolist(), rng.integers(1, 10, 3).tolist(), strict=True):
        changed[place] = (changed[place] + colour) % 10
    digits = changed.translate(_DIGITS).decode()
    text = "\n".join(digits[start : start + width] for start in range(0, len(digits), width))
    return bytes(changed), height, width, text


_DIGITS = bytes(48 + value % 10 for value in range(256))
