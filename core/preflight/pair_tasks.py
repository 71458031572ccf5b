"""What the pair template needs of a spec: a token for every evaluated task, on the canvas of the model."""

from pathlib import Path

from core.errors import UserError
from core.prompts.pairs import task_token
from core.prompts.templates import prompt_of_model
from core.prompts.vocabulary import load_tokenizer
from core.runs.frozen_tasks import Frozen
from core.specs.spec import ExperimentSpec, Recipe
from core.storage.models import model_location


def check_pairs(root: Path, spec: ExperimentSpec, frozen: Frozen) -> None:
    """Raise `UserError` where a variant with template pair is evaluated on a task that it does not learn and
    its base does not know, or where a base with positions on the grid has another canvas."""
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


def _check_tokens(variant: str, recipe: Recipe, location: str, frozen: Frozen) -> None:
    learned: set[str] = set()
    if recipe.training.method != "none":
        learned = {task_id for one in frozen.trained[variant] for task_id in one.tasks}
    missing = [task for one in frozen.evaluated for task in one.tasks if task not in learned]
    if missing:
        known = load_tokenizer(location).get_added_vocab()
        missing = [task for task in missing if task_token(task) not in known]
    if missing:
        evaluated = sum(len(one.tasks) for one in frozen.evaluated)
        sources = ", ".join(f"demos:{one.source}" for one in frozen.evaluated)
        raise UserError(
            f"Variant '{variant}' knows no token for {len(missing)} of {evaluated} evaluated tasks, such as"
            f" {missing[0]}. Add their demonstrations to its mixture: {sources}."
        )
