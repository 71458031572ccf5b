"""The stage between training and inference: a short training per group of tasks, from the run's model.

Each group leaves an adapter, or a model, in `adapt/<group>/`, so a killed stage goes on with the next group,
and a long group from its checkpoint. When all are there, `adapted.json` says how each went. Weights that were
removed are trained once more by the same seeds, and held to what they were.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.arc.tasks import Task
from core.errors import Stopped, UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.inference.adapters import write_merged
from core.machine.pace import Pace
from core.runs.adapted import BEGUN, RESULT, AdaptedGroup, Course, adapted_groups
from core.runs.layout import CHECKPOINT, Run
from core.runs.reporter import Reporter
from core.specs.spec import Recipe
from core.storage.files import fingerprint, locked, write_json
from core.storage.json_records import fitting, read_as
from core.storage.model_files import SUMS
from core.storage.models import check_seal, model_location
from core.training.adaptation import (
    AdaptationSettings,
    Group,
    demonstrations_to_learn,
    groups_of,
    mixture_of,
    training_of,
)
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from core.training.train import Training

SECONDS_BETWEEN_REPORTS = 2.0
Report = Callable[[dict[str, Any]], None]


def adapt(experiment: LaunchedExperiment, run: Run, report: Reporter) -> None:
    """Train the groups that are missing, and say how each went. Reported is what `adapt_groups` reports."""
    groups = groups_of_run(experiment, run)
    adapt_groups(experiment, run, groups, report)
    gather(experiment, run, groups)


def adapt_groups(experiment: LaunchedExperiment, run: Run, groups: Sequence[Group], report: Report) -> None:
    """Train those of these groups that are missing. Reported are step (tasks adapted), total, group and loss
    while a group goes on, and when it ends loss_before, loss_after, seconds and eta_seconds."""
    total, done = sum(len(group.tasks) for group in groups), 0
    pace = Pace()
    for group in groups:
        is_new = not is_adapted(run, group)
        place = {"step": done, "total": total, "group": group.name}
        result = _result(experiment, run, group, _Throttled(report, place))
        done += len(group.tasks)
        report(
            {
                **place,
                "step": done,
                **result.model_dump(include={"loss_before", "loss_after", "seconds"}),
                "eta_seconds": pace.seconds_left(done, total) if is_new else None,
            }
        )


def is_adapted(run: Run, group: Group) -> bool:
    """Whether a group has been trained."""
    return (run.adapt / group.name / RESULT).exists()


def gather(experiment: LaunchedExperiment, run: Run, groups: Sequence[Group]) -> None:
    """Write how each of all groups went, which ends the stage. Raises `UserError` where none learned."""
    results = [read_as(run.adapt / group.name / RESULT, AdaptedGroup) for group in groups]
    if any(one.too_long for one in results) and not any(one.weights for one in results):
        longest = experiment.recipe_of(run).training.max_seq_len
        raise UserError(f"No demonstration fits max_seq_len {longest}. Raise it, or choose smaller tasks.")
    write_json(run.adapted_file, [one.model_dump(mode="json") for one in results])


def settings_of(experiment: LaunchedExperiment, run: Run) -> AdaptationSettings:
    """The settings of a run's test-time training, which must have some."""
    settings = experiment.recipe_of(run).test_time
    assert settings is not None
    return settings


def groups_of_run(experiment: LaunchedExperiment, run: Run) -> list[Group]:
    """The groups that a run's tasks are adapted in, all of them."""
    return groups_of(experiment.evaluated, settings_of(experiment, run))


def weights_of(
    experiment: LaunchedExperiment, run: Run, tasks: Sequence[Task]
) -> list[tuple[Group, Path | None]]:
    """The groups of these tasks, each with these of its tasks alone, and its weights; None where there was
    nothing to learn from. What was removed is trained once more.

    Raises `UserError` where that can't be done, or comes to something else than before.
    """
    wanted = {(task.source, task.task_id) for task in tasks}
    known = {group.group: group for group in adapted_groups(run.folder)}
    found = []
    for group in groups_of_run(experiment, run):
        own = tuple(task for task in group.tasks if (task.source, task.task_id) in wanted)
        if own:
            weights = _weights(experiment, run, group, known.get(group.name))
            found.append((Group(group.name, own), weights))
    return found


def _weights(
    experiment: LaunchedExperiment, run: Run, group: Group, known: AdaptedGroup | None
) -> Path | None:
    settings = settings_of(experiment, run)
    path = _trained_folder(run, group, settings)
    if path.exists():
        check_seal(path)
        return path
    if known is None or not known.demonstrations:
        return None
    if settings.seconds_per_task is not None:
        raise UserError(
            f"The {_what(settings)} of {run.name} were trained for a time and removed after they answered, so"
            " they can't be made again. Launch the experiment under another name with test_time.keep: true."
        )
    shutil.rmtree(run.adapt / group.name, ignore_errors=True)
    again = _result(experiment, run, group, lambda _: None, known)
    if again.weights != known.weights:
        shutil.rmtree(run.adapt / group.name, ignore_errors=True)
        raise UserError(
            f"The {_what(settings)} of {run.name} were removed after they answered, and trained once more"
            " here they come out otherwise, as on another processor or with another torch. Ask where they"
            " were made, or launch under another name with test_time.keep: true."
        )
    return path


def _what(settings: AdaptationSettings) -> str:
    return "adapters" if settings.method == "lora" else "models"


def _trained_folder(run: Run, group: Group, settings: AdaptationSettings) -> Path:
    from core.training.train import trained_folder

    return trained_folder(run.adapt / group.name, TrainingSettings(method=settings.method))


def forget_weights(experiment: LaunchedExperiment, run: Run) -> None:
    """Once all is answered, remove what groups were trained to, unless it shall be kept; and the model on
    which they were trained, where that was merged."""
    if not experiment.is_done(run, "infer"):
        return
    shutil.rmtree(run.merged, ignore_errors=True)
    if not settings_of(experiment, run).keep:
        shutil.rmtree(run.adapt, ignore_errors=True)


def base_of(experiment: LaunchedExperiment, run: Run) -> str:
    """The model that groups start from: the run's own, merged where the run trained an adapter."""
    recipe = experiment.recipe_of(run)
    base = model_location(run.root, recipe.base_model)
    if recipe.training.method == "none":
        return base
    if recipe.training.method == "full":
        return str(run.model)
    with locked(run.folder / ".merged.lock"):  # parts of an evaluation begin together
        write_merged(base, run.adapter, run.merged)
    return str(run.merged)


def _result(
    experiment: LaunchedExperiment,
    run: Run,
    group: Group,
    report: Report,
    known: AdaptedGroup | None = None,
) -> AdaptedGroup:
    """What came of a group's training, which is done unless it was; where it is `known`, as it was."""
    folder = run.adapt / group.name
    if not (folder / RESULT).exists():
        made = _adapt_group(experiment, run, group, report, known)
        write_json(folder / RESULT, made.model_dump(mode="json"))
    return read_as(folder / RESULT, AdaptedGroup, f"Delete the folder {folder} and launch again.")


def _adapt_group(
    experiment: LaunchedExperiment, run: Run, group: Group, report: Report, known: AdaptedGroup | None
) -> AdaptedGroup:
    """Train the weights of a group; what came of it. A group without a sample to learn from has none."""
    from core.training.loop import NothingFitsError
    from core.training.train import train

    recipe, folder = experiment.recipe_of(run), run.adapt / group.name
    learned = demonstrations_to_learn(group.tasks, experiment.evaluated)
    result = AdaptedGroup(
        group=group.name,
        tasks=[(task.source, task.task_id) for task in group.tasks],
        demonstrations=sum(len(task.train) for task in learned),
    )
    if not learned:
        return result
    training = _training(experiment, run, group, learned, recipe, known)
    course = _Follower(run, folder / BEGUN, report)
    try:
        made = train(training, folder, course, note=course.note)
    except NothingFitsError:
        if "loss_before" in course.result():  # an earlier step had samples that fit
            raise
        return result.model_copy(update={"demonstrations": 0, "too_long": result.demonstrations})
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    return result.model_copy(update={**course.result(), "weights": _fingerprint(made)})


def _training(
    experiment: LaunchedExperiment,
    run: Run,
    group: Group,
    learned: list[Task],
    recipe: Recipe,
    known: AdaptedGroup | None,
) -> "Training":
    from core.training.numerics import Numerics
    from core.training.train import Training

    settings, seed = settings_of(experiment, run), group.seed(run.train_seed)
    own = experiment.trained(run.variant) if settings.replay else {}
    mixture = mixture_of(learned, settings, recipe.mixture, own, seed)
    prompt = recipe.prompt
    if prompt.template != "pair":  # which shows no demonstrations that it could lose
        prompt = prompt.model_copy(update={"too_long": "shorten"})
    numerics = None
    if known is not None and known.numerics is not None:
        numerics = fitting(known.numerics, Numerics, str(run.adapted_file))
    return Training(
        training_of(settings, recipe.training, len(learned)),
        prompt,
        mixture,
        base_of(experiment, run),
        seed,
        numerics=numerics,
    )


def _fingerprint(weights: Path) -> str:
    """Of the numbers alone; the files beside them name folders of this machine."""
    sums = read_as(weights / SUMS, dict[str, str])
    return fingerprint({name: value for name, value in sums.items() if name.endswith(".safetensors")})


class _Follower:
    """Follows a group's training over kills and stops, in a file of its own: its first and last loss, how it
    is computed. Stops it where a person wants the run to stop."""

    def __init__(self, run: Run, file: Path, report: Report) -> None:
        self._run, self._file, self._report = run, file, report
        self._begin = time.monotonic()
        self._tokens = 0
        try:
            self._kept = read_as(file, Course).model_dump(exclude_unset=True)
        except UserError:  # there is none, or it is damaged, which costs what it told and no training
            self._kept = {}

    def note(self, remarks: dict[str, Any]) -> None:
        """Hear how it is computed."""
        from core.training.numerics import Numerics

        names = Numerics.__dataclass_fields__
        self._keep(numerics={name: value for name, value in remarks.items() if name in names})

    def __call__(self, record: dict[str, Any]) -> None:
        """Hear of a step."""
        self._tokens += record["tokens"]
        if record["step"] == 1:
            self._keep(loss_before=record["loss"])
        if record["step"] == record["total"]:
            speed = self._tokens / (time.monotonic() - self._begin)
            self._keep(loss_after=record["loss"], steps=record["step"], tokens_per_second=speed)
            self._keep(seconds=self._seconds())
        elif self._run.stop_file.exists():
            self._keep(seconds=self._seconds())
            raise Stopped
        self._report(record)

    def _keep(self, **values: Any) -> None:
        self._kept = {**self._kept, **values}
        write_json(self._file, self._kept)

    def _seconds(self) -> float:
        return float(self._kept.get("seconds") or 0.0) + time.monotonic() - self._begin

    def result(self) -> dict[str, Any]:
        """What is known when it has ended."""
        return self._kept


class _Throttled:
    """Passes a group's steps on as the run's progress, not more often than somebody looks."""

    def __init__(self, report: Report, place: dict[str, Any]) -> None:
        self._report, self._place = report, place
        self._next = time.monotonic() + SECONDS_BETWEEN_REPORTS

    def __call__(self, record: dict[str, Any]) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + SECONDS_BETWEEN_REPORTS
            self._report({**self._place, "loss": record["loss"]})
