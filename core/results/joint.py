"""Variants of two experiments in one table, where both were evaluated on the same tasks in the same way.

In come the scores of two experiments, out come what sets their evaluations apart, and joint scores, which are
judged as one table. Where anything differs that decides what a score means, there is no joint table.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.results.answers import Answer, answers_of
from core.results.differences import flat_settings, setting_text
from core.results.loading import Evaluation, Scores
from core.runs.layout import record_files, spec_path
from core.runs.run_record import read_record_file
from core.specs.spec import read_spec


def other_name(variant: str, experiment: str) -> str:
    """What a variant of the second experiment is called in the joint table."""
    return f"{variant} ({experiment})"


def evaluation_differences(root: Path, first: Scores, second: Scores) -> list[str]:
    """In what the evaluations of two experiments differ, a phrase each; empty where they are equal."""
    one, other = first.experiment, second.experiment
    if one.imported or other.imported:
        name = one.name if one.imported else other.name
        return [f"'{name}' was imported, and nothing says what it was evaluated on"]
    if not first.evaluations or not second.evaluations:
        return [f"nothing is evaluated yet of '{(other if first.evaluations else one).name}'"]
    found = []
    if first.outputs != second.outputs:
        both = len(set(first.tasks) & set(second.tasks))
        found.append(f"tasks: {len(first.tasks)} against {len(second.tasks)}, {both} in common")
    elif _fingerprints(root, first) != _fingerprints(root, second):
        found.append("tasks: a source was imported anew and holds other pairs under the same names")
    if first.attempts != second.attempts:
        found.append(f"attempts at each test output: {first.attempts} against {second.attempts}")
    settings = [_settings(root, name) for name in (one.name, other.name)]
    found += [
        f"{key}: {setting_text(settings[0].get(key))} against {setting_text(settings[1].get(key))}"
        for key in dict.fromkeys([*settings[0], *settings[1]])
        if settings[0].get(key) != settings[1].get(key) and key != "attempts"
    ]
    return found


def joined(root: Path, first: Scores, second: Scores) -> Scores:
    """The scores of both as those of one experiment, whose baseline and main metric are the first's.

    Variants of the second are called as `other_name` says. Raises `UserError` naming in what the evaluations
    differ, and where the experiments have no metric in common.
    """
    one, other = first.experiment, second.experiment
    if one.name == other.name:
        raise UserError(f"'{one.name}' can't be compared with itself. Name another experiment.")
    differing = evaluation_differences(root, first, second)
    if differing:
        raise UserError(
            f"'{one.name}' and '{other.name}' were not evaluated alike ({'; '.join(differing)}), so there is"
            " no verdict between them. Evaluate both on the same tasks with the same settings."
        )
    names = {variant: other_name(variant, other.name) for variant in second.variants}
    experiment = one.model_copy(
        update={
            "question": f"{one.name} and {other.name} in one table",
            "variants": (*one.variants, *names.values()),
            "test_time": {**one.test_time, **{names[name]: seen for name, seen in other.test_time.items()}},
            "train_seeds": (),
            "eval_seeds": (),
        }
    )
    evaluations = [
        *first.evaluations,
        *(replace(one, variant=names[one.variant]) for one in second.evaluations),
    ]
    columns = {name: np.concatenate([values, second.columns[name]]) for name, values in first.columns.items()}
    missing = first.missing + second.missing
    return replace(
        first, experiment=experiment, evaluations=tuple(evaluations), columns=columns, missing=missing
    )


def home_of(both: Scores, other: str, variant: str) -> tuple[str, str, list[Evaluation]]:
    """The experiment that a variant of joint scores comes from, its name there, and its evaluations; `other`
    is the second experiment."""
    ending = f" ({other})"
    home = other if variant.endswith(ending) else both.experiment.name
    name = variant.removesuffix(ending)
    return home, name, [replace(one, variant=name) for one in both.evaluations if one.variant == variant]


def joint_answers(
    root: Path, both: Scores, other: str, variant: str, source: str, task_id: str
) -> list[Answer]:
    """What all runs of a variant of joint scores answered to a task, by votes, under its name at home.
    Raises `UserError` as `answers_of` does."""
    home, _, own = home_of(both, other, variant)
    return answers_of(root, home, own, source, task_id, unit="variant")


def _settings(root: Path, name: str) -> dict[str, Any]:
    """How an experiment was evaluated, by dotted name; which tasks, the frozen tasks say."""
    return dict(flat_settings(read_spec(spec_path(root, name)).evaluation.inference.model_dump(mode="json")))


def _fingerprints(root: Path, scores: Scores) -> dict[str, Any]:
    """The fingerprints of the evaluated sources as a run of the experiment noted them."""
    sources = {source for source, _ in scores.tasks}
    for path in record_files(spec_path(root, scores.experiment.name).parent):
        known = read_record_file(path).get("data")
        if isinstance(known, dict):
            return {name: value for name, value in known.items() if name in sources}
    return {}
