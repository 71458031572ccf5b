"""Small models: which runs share the cores of a machine without a GPU, and the slots that work on runs holds.

Small models learn more side by side, with a core each, than one after another with all cores: what a training
does between its products, on one thread, leaves the other cores idle. A large model keeps all of them. The
number of threads changes no weight of a training without dropout whose steps have several rows: each row is
computed by one thread, and their gradients are added in order.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from core.errors import UserError
from core.experiments.provenance import settings_of
from core.machine.processes import Notify
from core.machine.slots import Slot, all_slots, find_slots, free_slots, one_slot
from core.runs.layout import Run, runs_folder
from core.runs.run_record import read_record
from core.specs.spec import EvaluationSettings, ExperimentSpec, Recipe
from core.storage.model_files import weights_in
from core.storage.models import model_location
from core.training.numerics import TOKENS_PER_BATCH

MOST_WEIGHTS = 1_000_000
"""Of a small model. On two cores, trainings of 0.5 million weights and 512 tokens made 17,000 tokens/s side
by side, and 11,600 one after another. Of a step of 3 million only a fiftieth is done on one thread alone."""
MOST_TOKENS = 1024
"""The longest sample, or prompt with its answer, of a small model."""
_KEYS_AND_VALUES = 1.0
"""Gigabytes that the engine of a small model may keep of them."""


def is_small(run: Run) -> bool:
    """Whether a run's model and rows are small, by its record; what can't be read is not."""
    try:
        return _is_small(run.root, *settings_of(read_record(run)))
    except (UserError, OSError, KeyError, TypeError):
        return False


def _is_small(root: Path, recipe: Recipe, evaluation: EvaluationSettings) -> bool:
    location = Path(model_location(root, recipe.base_model))
    weights = weights_in(location) if location.is_dir() else None
    training, inference = recipe.training, evaluation.inference
    longest = max(training.max_seq_len, inference.max_model_len)
    memory = inference.kv_cache_gigabytes or _KEYS_AND_VALUES
    return (
        weights is not None
        and weights <= MOST_WEIGHTS
        and longest <= MOST_TOKENS
        and (training.tokens_per_batch or 0) <= TOKENS_PER_BATCH["cpu"]
        and (training.devices or 1) == 1
        and memory <= _KEYS_AND_VALUES
    )


def slots_taken(runs: Sequence[Run], slots: Sequence[Slot]) -> int:
    """How many of a machine's slots a job on these runs takes: a GPU, or a share of the cores where all of
    their models are small; else all cores."""
    return 1 if slots[0].is_gpu or all(is_small(run) for run in runs) else len(slots)


def runs_at_a_time(root: Path, spec: ExperimentSpec) -> int:
    """How many runs of a spec this machine works on side by side. Raises `UserError` like `find_slots`."""
    slots = find_slots()
    recipes = [spec.recipe_of(variant) for variant in spec.variants]
    share = slots[0].is_gpu or all(_is_small(root, recipe, spec.evaluation) for recipe in recipes)
    return min(len(slots), len(spec.pairs)) if share else 1


@contextmanager
def slots_held(
    runs: Sequence[Run], notify: Notify, *, all_gpus: bool = False, parts: int = 1
) -> Iterator[list[Slot]]:
    """Hold the slots that a job on these runs takes, or all GPUs; where they are taken it waits, and says so.
    This process and those that it starts see nothing else meanwhile. Yields a slot for each of up to `parts`
    parts of the job: the first, and of the others those that nobody holds."""
    slots, locks = find_slots(), runs_folder(runs[0].root)
    if (all_gpus and slots[0].is_gpu) or slots_taken(runs, slots) > 1:
        with all_slots(locks, slots, notify):
            yield slots[:1]
    else:
        with one_slot(locks, slots, notify) as first, free_slots(locks, slots, parts - 1) as others:
            yield [first, *others]
