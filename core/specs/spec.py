"""Experiment specs: a question, variants of one recipe, seeds, and what is evaluated.

A spec is YAML. `recipe` holds what all variants share; each variant states only what differs, so "the
settings that differ" are what a person wrote. Every variant is checked when the spec is read.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from core.arc.tasks import Task
from core.curation.flag_rules import FlaggedSource
from core.curation.partitions import chosen_tasks
from core.curation.source_names import DRAWN, is_drawn, stored_name
from core.errors import UserError
from core.inference.settings import InferenceSettings
from core.mixing.mixtures import MOST_CELLS, MixtureSettings
from core.prompts.templates import PromptSettings
from core.scoring.metrics import check_for_search, parse_metric
from core.settings import Seed, Settings, read_yaml, validated
from core.training.adaptation import AdaptationSettings
from core.training.settings import TrainingSettings
from core.yaml_text import parse_yaml

FILES = (".yaml", ".json", ".jsonl", ".log", ".tmp")
MOST_SEEDS = 1_000
MOST_RUNS = 10_000
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class Recipe(Settings):
    """Everything that makes one trained model, apart from the seed."""

    base_model: str = Field(description="A folder in data/models, a path, or a name on a model hub.")
    mixture: MixtureSettings = Field(description="What the training samples are drawn from.")
    prompt: PromptSettings = Field(PromptSettings(), description="How a task becomes a prompt.")
    training: TrainingSettings = Field(TrainingSettings(), description="How the model is trained.")
    test_time: AdaptationSettings | None = Field(
        None,
        description="Test-time training per group of evaluated tasks, on their demonstrations, from the model"
        " that the run has trained; empty: none.",
    )

    @model_validator(mode="after")
    def _pairs_ask_for_one_rule(self) -> "Recipe":
        """A task's token stands for one rule, so its pairs can't be composed into others."""
        if self.prompt.template != "pair":
            return self
        augmentation, training = self.mixture.augmentation, self.training
        if augmentation.composed or augmentation.lesson_share:
            raise ValueError("template pair asks for tasks as they are; leave out composed and lesson_share")
        if training.loss_on != "answer":
            raise ValueError("template pair shows one output; set training.loss_on to answer")
        if training.validation.every is not None and training.validation.hold_out != "pairs":
            raise ValueError("template pair knows trained tasks alone; set validation.hold_out to pairs")
        if training.method == "lora" and training.lora.init != "zero":
            raise ValueError("template pair trains tokens beside the adapter; set training.lora.init to zero")
        if self.test_time is not None and self.test_time.method == "lora":
            raise ValueError("template pair trains tokens beside an adapter; set test_time.method to full")
        return self


class EvaluatedSource(FlaggedSource):
    """A source whose tasks are evaluated: all, the small ones, or those on a list of a partition."""

    source: str = Field(
        description="Name of the source, such as arc1/evaluation; drawn:re-arc holds a task from each pool."
    )
    max_cells: int | None = Field(
        None,
        ge=1,
        le=MOST_CELLS,
        description="Only tasks with at most so many cells (demonstrations and one test).",
    )
    partition: str | None = Field(
        None, description="Only the tasks on this list of a partition, such as mine/val."
    )
    exclude: tuple[str, ...] = Field((), description="Ids of tasks that are not to be evaluated.")


class EvaluationSettings(Settings):
    """What each trained model is evaluated on, and how."""

    sources: tuple[EvaluatedSource, ...] = Field(min_length=1, description="The evaluated tasks.")
    inference: InferenceSettings = Field(InferenceSettings(), description="How attempts are made.")

    @field_validator("sources")
    @classmethod
    def _each_source_once(cls, sources: tuple[EvaluatedSource, ...]) -> tuple[EvaluatedSource, ...]:
        names = [share.source for share in sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source '{twice[0]}' is listed twice; its tasks would count twice")
        return sources


class ExperimentSpec(Settings):
    """A question with its variants, seeds, and what it is evaluated on."""

    name: str = Field(pattern=NAME, description="Name of the experiment and of its folder in runs/.")
    question: str = Field("", description="What the experiment is to find out, in words.")
    baseline: str = Field(description="The variant that the others are held against.")
    metrics: tuple[str, ...] = Field(
        ("accuracy", "correct_pixels", "correct_size", "vote_2"),
        min_length=1,
        description="Metrics of the table; the first one is charted.",
    )
    train_seeds: tuple[Seed, ...] = Field(
        (0, 1), min_length=1, max_length=MOST_SEEDS, description="One training for each."
    )
    more_seeds: dict[str, tuple[Seed, ...]] = Field(
        {}, description="Trainings of single variants beside train_seeds, by the variant's name."
    )
    eval_seeds: tuple[Seed, ...] = Field(
        (0, 1), min_length=1, max_length=MOST_SEEDS, description="One evaluation of each run."
    )
    evaluation: EvaluationSettings = Field(description="What each run is evaluated on.")
    allow_leaks: bool = Field(
        False, description="Launch although a mixture contains evaluated tasks or their twins."
    )
    recipe: dict[str, Any] = Field({}, description="What all variants share.")
    variants: dict[str, dict[str, Any] | None] = Field(
        min_length=1, description="For each variant, what differs from the recipe."
    )

    @field_validator("train_seeds", "eval_seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("seeds are different whole numbers; one stands there twice")
        return seeds

    @field_validator("metrics")
    @classmethod
    def _metrics_exist(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for name in metrics:
            try:
                parse_metric(name)
            except UserError as problem:
                raise ValueError(str(problem)) from None
        return metrics

    @model_validator(mode="after")
    def _metrics_suit_a_search(self) -> "ExperimentSpec":
        if self.evaluation.inference.search is not None:
            try:
                for name in self.metrics:
                    check_for_search(name)
            except UserError as problem:
                raise ValueError(f"metrics: {problem}") from None
        return self

    @model_validator(mode="after")
    def _runs_are_bounded(self) -> "ExperimentSpec":
        for variant, seeds in self.more_seeds.items():
            if variant not in self.variants:
                raise ValueError(f"more_seeds names '{variant}', which is none of {', '.join(self.variants)}")
            if len({*seeds, *self.train_seeds}) < len(seeds) + len(self.train_seeds):
                raise ValueError(f"a seed of '{variant}' stands there twice, in train_seeds or more_seeds")
        runs = len(self.pairs)
        if runs > MOST_RUNS:
            raise ValueError(
                f"these are {runs:,} runs, more than {MOST_RUNS:,}; give fewer seeds or variants"
            )
        return self

    def seeds_of(self, variant: str) -> tuple[int, ...]:
        """The seeds of a variant's trainings."""
        return (*self.train_seeds, *self.more_seeds.get(variant, ()))

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Variant and seed of every training, seed by seed, so that variants can be compared early."""
        seeds = dict.fromkeys(seed for variant in self.variants for seed in self.seeds_of(variant))
        return [
            (variant, seed) for seed in seeds for variant in self.variants if seed in self.seeds_of(variant)
        ]

    @model_validator(mode="after")
    def _baseline_exists(self) -> "ExperimentSpec":
        if self.baseline not in self.variants:
            raise ValueError(f"baseline '{self.baseline}' is none of {', '.join(self.variants)}")
        return self

    @cached_property
    def _recipes(self) -> dict[str, Recipe]:
        return {}

    def __copy__(self) -> Self:
        """A copy may get other settings, so it forgets the recipes that were resolved."""
        copied = super().__copy__()
        copied.__dict__.pop("_recipes", None)
        return copied

    def recipe_of(self, variant: str) -> Recipe:
        """The whole recipe of a variant, validated once. Raises `UserError` for unknown or unfit keys."""
        if variant not in self._recipes:
            changes = self.variants[variant] or {}
            where = f"Experiment '{self.name}', variant '{variant}'"
            self._recipes[variant] = validated(Recipe, merged(self.recipe, changes), where)
        return self._recipes[variant]


def merged(common: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`common` with `changes` laid over it, key by key; lists and values are replaced whole."""
    result = dict(common)
    for key, value in changes.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def read_spec(path: Path) -> ExperimentSpec:
    """The spec of a YAML file, with every variant checked. Raises `UserError` naming file and key."""
    return checked_spec(read_yaml(path), str(path))


def spec_from_text(text: str, where: str) -> ExperimentSpec:
    """The spec of a YAML text, with every variant checked. Raises `UserError` naming `where` and key."""
    value = parse_yaml(text, where)
    if not isinstance(value, dict):
        raise UserError(f"{where} holds no settings. Begin with name, baseline, evaluation and variants.")
    return checked_spec(value, where)


def checked_spec(value: Any, where: str) -> ExperimentSpec:
    """The spec of plain YAML data, with every variant checked. Raises `UserError` naming `where` and key."""
    spec = validated(ExperimentSpec, value, where)
    for variant in spec.variants:
        validated(_Name, {"name": variant}, f"{where}, variants")
        if Path(variant).suffix in FILES:
            raise UserError(
                f"{where}: the variant '{variant}' is named like a file of the experiment's folder."
                " Choose another name."
            )
        recipe = spec.recipe_of(variant)
        trains = recipe.training.method != "none" or recipe.test_time is not None
        if not trains and len(spec.seeds_of(variant)) > 1:  # equal runs would pose as a spread of trainings
            raise UserError(
                f"{where}: variant '{variant}' trains nothing, so its runs would all be the same."
                " Give one train_seed, or evaluate the base model in a spec of its own."
            )
    return spec


class _Name(Settings):
    name: str = Field(pattern=NAME)


def specs_folder(root: Path) -> Path:
    """Where people keep their specs."""
    return root / "data" / "experiments"


def list_specs(root: Path) -> list[str]:
    """Names of the specs in data/experiments, in the order of the alphabet."""
    return sorted(path.stem for path in specs_folder(root).glob("*.yaml") if path.is_file())


def find_spec(root: Path, name: str) -> Path:
    """The file of a spec, given by its path or by its name in data/experiments."""
    for path in (Path(name), specs_folder(root) / f"{name}.yaml"):
        if path.is_file():
            return path
    known = ", ".join(list_specs(root)) or "none"
    raise UserError(f"There is no spec '{name}'. Give a file, or one of data/experiments: {known}.")


def evaluated_tasks(root: Path, evaluation: EvaluationSettings) -> list[Task]:
    """The tasks of an evaluation, in the order of its sources.

    Raises `UserError` where none is left, one has no known answer or is a pool, or an excluded one is
    unknown.
    """
    tasks = [
        task
        for share in evaluation.sources
        for task in chosen_tasks(root, share.source, share.partition, share.exclude, share.rule)
        if share.max_cells is None or task.cells <= share.max_cells
    ]
    drawn = {share.source for share in evaluation.sources if is_drawn(share.source)}
    pools = [task.source for task in tasks if task.is_pool and DRAWN + task.source not in drawn]
    if pools:
        raise UserError(
            f"{len(pools):,} tasks of '{pools[0]}' are pools, without a test pair to ask about. Evaluate"
            f" {DRAWN}{stored_name(pools[0])}, which draws a task from each; no mixture draws the same pairs."
        )
    tasks = [task for task in tasks if task.test]
    if not tasks:
        raise UserError(
            "No task is left to evaluate. Raise max_cells under evaluation.sources, or choose another"
            " partition there."
        )
    for task in tasks:
        if any(pair.output is None for pair in task.test):
            raise UserError(
                f"Task {task.task_id!r} of {task.source} has no known answer, so it can't be scored."
                " Evaluate on a source with solutions."
            )
    return tasks
