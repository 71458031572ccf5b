"""What a spec needs and the project lacks: sources that were not imported, base models that do not exist.

The pages show each need as its sentence with a button that provides it. Providing runs a verb as a
process of its own, so that the caller does not have to load torch.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.curation.source_names import stored_name
from core.curation.sources import list_sources
from core.errors import UserError
from core.importing.known_sets import SET_OF
from core.settings import nearest
from core.specs.spec import ExperimentSpec, Recipe
from core.storage.models import found_model


@dataclass(frozen=True)
class Need:
    """Something that is missing, the sentence about it, and the arguments of the verb that provides it
    (none where only a person can)."""

    kind: Literal["source", "base model"]
    name: str
    sentence: str
    verb: tuple[str, ...] = ()

    @property
    def action(self) -> str:
        """What the verb does, as a button says it."""
        return f"Import {self.verb[-1]}" if self.kind == "source" else f"Make base model '{self.name}'"


def needs_of(root: Path, spec: ExperimentSpec) -> list[Need]:
    """What is missing before the spec can be launched: sources first, each need once."""
    recipes = [spec.recipe_of(variant) for variant in spec.variants]
    sources = [share.source for recipe in recipes for share in recipe.mixture.sources]
    sources += [share.source for share in spec.evaluation.sources]
    known = {info.source for info in list_sources(root)}
    needs = [_source_need(name, known) for name in sources]
    needs += [_model_need(root, recipe) for recipe in recipes]
    return list(dict.fromkeys(need for need in needs if need is not None))


def _source_need(name: str, known: set[str]) -> Need | None:
    stored = stored_name(name)
    if stored in known:
        return None
    if stored in SET_OF:
        sentence = f"The source '{stored}' is not imported yet."
        return Need("source", stored, sentence, ("data", "import", SET_OF[stored]))
    near = nearest(stored, [*known, *SET_OF])
    hint = f"Did you mean '{near}'?" if near else "Import it: python -m core data import"
    return Need("source", stored, f"There is no source '{stored}'. {hint}")


def _model_need(root: Path, recipe: Recipe) -> Need | None:
    name = recipe.base_model
    try:
        found_model(root, name)
    except UserError as problem:
        plain = name.replace("-", "").replace("_", "").replace(".", "").isalnum() and name[0].isalnum()
        if not plain or (root / "data" / "models" / name).exists():
            return Need("base model", name, str(problem))
        sentence = f"There is no base model '{name}' yet. A small one with random weights takes seconds."
        return Need("base model", name, sentence, ("model", "init", name, *_shape(recipe)))
    return None


def _shape(recipe: Recipe) -> tuple[str, ...]:
    """The options of `model init` for a recipe: a model of pairs knows the places of its canvas."""
    canvas = recipe.prompt.encoding.canvas
    if recipe.prompt.template != "pair" or canvas is None:
        return ()
    context = max(recipe.training.max_seq_len, 512)
    place = ("--positions", "grid", "--canvas", str(canvas), "--context", str(context))
    return ("--hidden-size", "96", "--heads", "3", "--mlp-size", "256", *place)


def provide(root: Path, need: Need) -> None:
    """Run the verb of a need and wait. Raises `UserError` with its last words where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "core", *need.verb, "--root", str(root.resolve())],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UserError(f"{need.action} failed: {last}")
