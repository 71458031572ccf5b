"""More trainings of an experiment that was launched before, of every variant or of chosen ones."""

from collections.abc import Sequence
from pathlib import Path

from core.cluster.settings import cluster_of
from core.errors import UserError
from core.launching.launch import launch
from core.plain_files import read_text
from core.runs.layout import Run, spec_path
from core.settings import LARGEST_SEED
from core.specs.draft import data_of, text_with, with_value
from core.specs.spec import read_spec, specs_folder
from core.storage.files import write_text


def add_trainings(
    root: Path, experiment: str, count: int, by: str | None = None, variants: Sequence[str] = ()
) -> list[Run]:
    """Launch `count` more trainings of each variant, or of `variants` alone, with the seeds after those that
    are there; all its runs.

    The file of the spec in data/experiments grows with it where it holds what was launched; comments stay.
    Raises `UserError` where the experiment was not launched, or can't be launched now.
    """
    spec = read_spec(spec_path(root, experiment))
    for variant in variants:
        if variant not in spec.variants:
            raise UserError(f"'{variant}' is no variant of {experiment}: {', '.join(spec.variants)}.")
    first = max(seed for _, seed in spec.pairs) + 1
    if first + count > LARGEST_SEED:
        raise UserError(f"No seed follows {first - 1}. Launch a new experiment with smaller seeds.")
    fresh = tuple(range(first, first + count))
    key: str = "train_seeds" if set(variants) in (set(), set(spec.variants)) else "more_seeds"
    seeds: tuple[int, ...] | dict[str, tuple[int, ...]] = (*spec.train_seeds, *fresh)
    if key == "more_seeds":
        seeds = spec.more_seeds | {one: (*spec.more_seeds.get(one, ()), *fresh) for one in variants}
    more = spec.model_copy(update={key: seeds})
    command = ["python", "-m", "core", "launch", experiment]
    runs = launch(root, more, command, by=by, cluster=cluster_of(root, experiment))
    path = specs_folder(root) / f"{experiment}.yaml"
    try:
        same = read_spec(path) == spec
    except UserError:  # there is none, or it is being written
        same = False
    if same:
        text = read_text(path)
        value = more.model_dump(mode="json")[key]
        write_text(path, text_with(text, with_value(data_of(text), (key,), value)))
    return runs
