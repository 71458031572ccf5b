"""What a node needs of a project to work on an experiment, put into a store and taken out again.

The frozen spec and its lists of tasks, the sources that they name, and the base models that lie in a folder
here. Files are named by their digest, so nothing is put twice; a list that is named by its own digest says
which of them make up the project, so a later launch does not change what an earlier one works with.
"""

from pathlib import Path

from core.curation.source_names import stored_name
from core.curation.stored import parquet_path
from core.errors import UserError
from core.runs.layout import SPEC, TASKS, experiment_folder
from core.specs.spec import ExperimentSpec, read_spec
from core.storage.files import fingerprint, locked, sha256_of, writing
from core.storage.model_files import MORE_TEMPLATES
from core.storage.models import model_location
from core.storage.stores import Store, place_in


def pack(root: Path, experiment: str, store: Store) -> str:
    """Put what is needed into the store; the name of the list. Raises `UserError` for a base model that is
    named by a path out of the project, which a node could not find."""
    digests = {name: sha256_of(path) for name, path in _needed(root, experiment).items()}
    for name, path in _needed(root, experiment).items():
        at = _place(experiment, digests[name])
        if store.size(at) != path.stat().st_size:
            store.put(path, at)
    listed = f"{experiment}/project-{fingerprint(digests)[:16]}.json"
    store.put_json(digests, listed)
    return listed


def _needed(root: Path, experiment: str) -> dict[str, Path]:
    """Files by their place in a project folder."""
    folder = experiment_folder(root, experiment)
    spec = read_spec(folder / SPEC)
    own = [folder / SPEC, folder / TASKS, *(_sources(root, spec))]
    found = {path.relative_to(root).as_posix(): path for path in own if path.exists()}
    for variant in spec.variants:
        name = spec.recipe_of(variant).base_model
        location = Path(model_location(root, name))
        if location.is_dir():
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise UserError(
                    f"A node would not find the base model '{name}'. Move it to data/models and name it so."
                )
            files = [path for path in (*location.iterdir(), *location.glob(MORE_TEMPLATES)) if path.is_file()]
            found |= {f"data/models/{name}/{path.relative_to(location).as_posix()}": path for path in files}
    return found


def _sources(root: Path, spec: ExperimentSpec) -> list[Path]:
    """The files of all sources that are trained on or evaluated; for a reversed one its original's."""
    names = {share.source for share in spec.evaluation.sources}
    for variant in spec.variants:
        names |= {share.source for share in spec.recipe_of(variant).mixture.sources}
    paths = [parquet_path(root, name) for name in sorted({stored_name(name) for name in names})]
    return [*paths, *(path.with_suffix(".json") for path in paths)]


def unpack(experiment: str, listed: str, store: Store, folder: Path) -> None:
    """Fetch what the list names into a folder of this machine; what lies there already is left."""
    with locked(folder / ".unpack.lock"):
        named = {place_in(folder, name): digest for name, digest in store.get_json(listed).items()}
        for path, digest in named.items():
            if not path.is_file() or sha256_of(path) != digest:
                with writing(path) as temporary:
                    store.get(_place(experiment, digest), temporary, digest)


def _place(experiment: str, digest: str) -> str:
    return f"{experiment}/project/{digest}"
