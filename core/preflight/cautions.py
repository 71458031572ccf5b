"""What is likely a mistake in a spec, though it can be launched: said before the launch, never refused."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from core.arc.tasks import Task
from core.curation.source_names import asked_without_demonstrations, is_demonstrations
from core.errors import UserError
from core.mixing.mixtures import mixture_tasks
from core.number_words import amount
from core.preflight.pair_requirements import without_token
from core.prompts.templates import PromptSettings, prompt_of_model
from core.specs.spec import ExperimentSpec, Recipe, evaluated_tasks
from core.storage.models import model_location, model_summary
from core.training.adaptation import demonstrations_to_learn


def cautions_of(root: Path, spec: ExperimentSpec) -> list[str]:
    """Sentences about base models that were trained on other prompts than the spec writes, about samples
    and prompts longer than a base model reads, and about `demos:` tasks with a single demonstration; each
    once. Models of a hub are not looked at."""
    found: list[str | None] = []
    recipes = [spec.recipe_of(variant) for variant in spec.variants]
    for recipe in recipes:
        folder = Path(model_location(root, recipe.base_model))
        if folder.is_dir():
            found += [_other_prompts(folder, recipe), *_too_long(folder, recipe, spec)]
    found += _single_demonstrations(root, spec, recipes)
    found += _without_token(root, spec, recipes)
    return list(dict.fromkeys(sentence for sentence in found if sentence))


def _single_demonstrations(root: Path, spec: ExperimentSpec, recipes: Iterable[Recipe]) -> list[str]:
    """Which tasks of `demos:` sources have a single demonstration, which is then asked from none."""
    mixtures = [
        recipe.mixture
        for recipe in recipes
        if any(is_demonstrations(share.source) for share in recipe.mixture.sources)
    ]
    if not mixtures:
        return []
    evaluated = evaluated_tasks(root, spec.evaluation)
    found = []
    for mixture in mixtures:
        for source, tasks in mixture_tasks(root, mixture, evaluated).items():
            if single := asked_without_demonstrations(tasks):
                found.append(
                    f"{amount(len(single), 'tasks')} of {source} with a single demonstration, which is asked"
                    f" from none: {', '.join(single)}."
                )
    return found


def _without_token(root: Path, spec: ExperimentSpec, recipes: Iterable[Recipe]) -> list[str]:
    """Which evaluated tasks a variant with template pair has no token for."""
    found = []
    for recipe in recipes:
        if recipe.prompt.template == "pair":
            evaluated = evaluated_tasks(root, spec.evaluation)
            learned = _with_token(root, recipe, evaluated)
            ids = [task.task_id for task in evaluated]
            if missing := without_token(model_location(root, recipe.base_model), learned, ids):
                found.append(
                    f"{len(missing)} of {len(ids)} evaluated tasks have no token, so their attempts go"
                    f" unanswered and count as wrong: {', '.join(missing[:8])}."
                )
    return found


def _with_token(root: Path, recipe: Recipe, evaluated: Sequence[Task]) -> set[str]:
    """The tasks that a recipe with template pair learns a token for: of its mixture, and at test time those
    that have a demonstration on its canvas."""
    found = set()
    if recipe.training.method != "none":
        mixture = mixture_tasks(root, recipe.mixture, evaluated)
        found |= {task.task_id for members in mixture.values() for task in members}
    if recipe.test_time is not None:
        learned = demonstrations_to_learn(evaluated, evaluated, recipe.prompt.encoding)
        found |= {task.task_id for task in learned}
    return found


def _other_prompts(folder: Path, recipe: Recipe) -> str | None:
    known = prompt_of_model(folder)
    if known is None or (known.encoding, known.template) == (recipe.prompt.encoding, recipe.prompt.template):
        return None
    return (
        f"'{recipe.base_model}' was trained on prompts of {_in_words(known)}, and here they are"
        f" {_in_words(recipe.prompt)}: its answers will be worth little. Set prompt as it was."
    )


def _in_words(prompt: PromptSettings) -> str:
    encoding = prompt.encoding
    options = [name for name in ("shape_header", "row_numbers") if getattr(encoding, name)]
    options += [f"cell_separator {encoding.cell_separator}"] * (encoding.cell_separator != "none")
    options += [f"a canvas of {encoding.canvas}"] * (encoding.canvas is not None)
    rows = f"rows with {' and '.join(options)}" if options else "plain rows"
    return rows if prompt.template == "base" else f"{rows} in the {prompt.template} template"


def _too_long(folder: Path, recipe: Recipe, spec: ExperimentSpec) -> list[str]:
    try:
        context = model_summary(folder, recipe.base_model)["context"]
    except UserError:
        return []
    if not isinstance(context, int):
        return []
    lengths = {"inference.max_model_len": spec.evaluation.inference.max_model_len}
    if recipe.training.method != "none":
        lengths["training.max_seq_len"] = recipe.training.max_seq_len
    return [
        f"'{recipe.base_model}' reads {context:,} tokens, but {name} is {length:,}. Lower it to {context}."
        for name, length in lengths.items()
        if length > context
    ]
