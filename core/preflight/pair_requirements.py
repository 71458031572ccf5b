"""What the pair template needs of a spec: tokens for the evaluated tasks, and the canvas of the model."""

from collections.abc import Collection, Iterable
from pathlib import Path

from core.errors import UserError
from core.experiments.frozen_tasks import FrozenTasks
from core.prompts.pairs import knows
from core.prompts.templates import prompt_of_model
from core.prompts.vocabulary import load_tokenizer
from core.specs.spec import ExperimentSpec, Recipe
from core.storage.models import model_location


def check_pairs(root: Path, spec: ExperimentSpec, frozen: FrozenTasks) -> None:
    """Raise `UserError` where a variant with template pair has a token for none of the evaluated tasks, or
    where a base with positions on the grid has another canvas."""
    for variant in spec.variants:
        recipe = spec.recipe_of(variant)
        if recipe.prompt.template == "pair":
            location = model_location(root, recipe.base_model)
            _check_canvas(recipe, location)
            _check_tokens(variant, recipe, location, frozen)


def _check_canvas(recipe: Recipe, location: str) -> None:
    known = prompt_of_model(Path(location)) if Path(location).is_dir() else None
    if known is None or known.encoding.canvas in (None, recipe.prompt.encoding.canvas):
        return
    raise UserError(
        f"'{recipe.base_model}' has its positions on a canvas of {known.encoding.canvas}. Set"
        f" prompt.encoding.canvas to {known.encoding.canvas}."
    )


def _check_tokens(variant: str, recipe: Recipe, location: str, frozen: FrozenTasks) -> None:
    if recipe.test_time is not None:  # which learns them
        return
    evaluated = [task_id for one in frozen.evaluated for task_id in one.tasks]
    trained = [task_id for one in frozen.trained[variant] for task_id in one.tasks]
    learned = [] if recipe.training.method == "none" else trained
    if len(without_token(location, learned, evaluated)) == len(evaluated):
        sources = ", ".join(f"demos:{one.source}" for one in frozen.evaluated)
        raise UserError(
            f"Variant '{variant}' has a token for none of the evaluated tasks. Add their demonstrations to"
            f" its mixture: {sources}."
        )


def without_token(location: str, learned: Collection[str], evaluated: Iterable[str]) -> list[str]:
    """Those of the evaluated tasks that a training on `learned` tasks gives no token and the base has none
    for: their attempts go unanswered."""
    missing = [task_id for task_id in evaluated if task_id not in learned]
    if not missing:
        return []
    tokenizer = load_tokenizer(location)
    return [task_id for task_id in missing if not knows(tokenizer, task_id)]
