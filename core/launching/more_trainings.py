"""More trainings of every variant of an experiment that was launched before."""

from pathlib import Path

from core.cluster.settings import cluster_of
from core.errors import UserError
from core.launching.launch import launch
from core.runs.layout import Run, spec_path
from core.settings import LARGEST_SEED
from core.specs.draft import data_of, text_with, with_value
from core.specs.spec import read_spec, specs_folder
from core.storage.files import write_text


def add_trainings(root: Path, experiment: str, count: int, by: str | None = None) -> list[Run]:
    """Launch `count` more trainings of each variant, with the seeds after those that are there; all its runs.

    The file of the spec in data/experiments grows with it where it holds what was launched; comments stay.
    Raises `UserError` where the experiment was not launched, or can't be launched now.
    """
    spec = read_spec(spec_path(root, experiment))
    first = max(spec.train_seeds) + 1
    if first + count > LARGEST_SEED:
        raise UserError(f"No seed follows {first - 1}. Launch a new experiment with smaller seeds.")
    seeds = (*spec.train_seeds, *range(first, first + count))
    more = spec.model_copy(update={"train_seeds": seeds})
    command = ["python", "-m", "core", "launch", experiment]
    runs = launch(root, more, command, by=by, cluster=cluster_of(root, experiment))
    path = specs_folder(root) / f"{experiment}.yaml"
    try:
        same = read_spec(path) == spec
    except UserError:  # there is none, or it is being written
        same = False
    if same:
        text = path.read_text(encoding="utf-8")
        write_text(path, text_with(text, with_value(data_of(text), ("train_seeds",), list(seeds))))
    return runs
