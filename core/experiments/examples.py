"""Experiments that come with the project, without their weights; once opened, they are like all others.

Each is a folder of `data/examples`, with what an experiment's folder in `runs/` holds.
"""

import shutil
from pathlib import Path

from core.curation.source_names import stored_name
from core.curation.stored import list_sources
from core.errors import UserError
from core.experiments.archive import archived_experiments, trashed
from core.importing.import_source import import_bundle
from core.importing.known_sets import BUNDLES
from core.runs.layout import LAUNCH_LOCK, SPEC, experiment_folder, runs_folder
from core.specs.spec import read_spec
from core.storage.files import locked, writing

FOLDER = Path("data", "examples")


def examples(root: Path) -> list[str]:
    """Names of the examples that were never opened, in the order of the alphabet: no experiment has their
    name, put away ones included."""
    away = {*archived_experiments(root), *(one.experiment for one in trashed(root))}
    found = {path.parent.name for path in (root / FOLDER).glob(f"*/{SPEC}")}
    return sorted(name for name in found - away if not experiment_folder(root, name).exists())


def open_example(root: Path, name: str) -> Path:
    """Copy an example to `runs/`, and import what the installation holds of the tasks that it asks; its
    folder. Raises `UserError` where none of that name waits, or the disk does not take it."""
    target = experiment_folder(root, name)
    with locked(runs_folder(root) / LAUNCH_LOCK):
        waiting = examples(root)
        if name not in waiting:
            raise UserError(
                f"No example '{name}' waits to be opened. Waiting: {', '.join(waiting) or 'none'}."
            )
        with writing(target) as copy:
            try:
                shutil.copytree(root / FOLDER / name, copy)
            except shutil.Error as problem:  # its reasons are texts in a list, without their numbers
                raise UserError(f"'{name}' can't be copied to runs/: {problem.args[0][0][2]}.") from problem
    here = {info.source for info in list_sources(root)}
    asked = {stored_name(part.source) for part in read_spec(target / SPEC).evaluation.sources} - here
    for bundle in sorted({source.split("/")[0] for source in asked} & set(BUNDLES)):
        import_bundle(root, bundle)
    return target
