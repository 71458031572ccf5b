"""What an experiment asks, as its folder in `runs/` says: question, variants, seeds, metrics.

A launched experiment is described by its frozen `experiment.yaml`, one imported from elsewhere by
`imported.json`. Only what tables need is read; a spec is checked as a whole where it is launched.
"""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from core.errors import UserError
from core.plain_files import file_stamp, unreadable_file
from core.runs.layout import IMPORTED, SPEC, evaluation_files, runs_folder
from core.runs.recorded_leaks import counts_by_variant
from core.settings import Seed, Settings, read_yaml, validated
from core.storage.evaluation_files import SCORES_FILE
from core.storage.files import read_json


class Experiment(Settings):
    """The part of an experiment's description that results are read by; other keys are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(description="Name of the folder in runs/.")
    question: str = Field("", description="What the experiment is to find out, in words.")
    baseline: str = Field(description="The variant that the others are held against.")
    metrics: tuple[str, ...] = Field(min_length=1, description="Metrics of the table, the main one first.")
    variants: tuple[str, ...] = Field(min_length=1, description="Variants in the order of the spec.")
    train_seeds: tuple[Seed, ...] = Field((), description="Requested trainings.")
    more_seeds: dict[str, tuple[Seed, ...]] = Field({}, description="Those of single variants beside them.")
    eval_seeds: tuple[Seed, ...] = Field((), description="Requested evaluations of each training.")
    imported: bool = Field(False, description="Whether the numbers come from elsewhere.")
    origin: str = Field("", description="Where imported numbers come from.")
    lower_is_better: tuple[str, ...] = Field((), description="Imported metrics of which less is better.")
    higher_is_better: tuple[str, ...] = Field((), description="Imported metrics of which more is better.")
    units: dict[str, str] = Field({}, description="Units of imported metrics; a share is shown in percent.")
    summaries: bool = Field(False, description="Whether mean, std and n came instead of single runs.")
    search: bool = Field(False, description="Whether answers were searched for, instead of attempted.")
    test_time: dict[str, Annotated[int, Field(ge=0, le=10**6)]] = Field(
        {},
        description="Variants with test-time training: of how many evaluated tasks they saw demonstrations.",
    )

    @model_validator(mode="after")
    def _baseline_exists(self) -> Self:
        if self.baseline not in self.variants:
            raise ValueError(f"baseline '{self.baseline}' is none of {', '.join(self.variants)}")
        return self


def known_folder(root: Path, name: str) -> Path:
    """The folder of an experiment, launched or imported. Raises `UserError` where there is none."""
    folder = runs_folder(root) / name
    known = list_experiments(root)
    if name not in known:
        _check_rights(folder)
        listed = f"Known: {', '.join(known)}." if known else "Launch one: python -m core launch demo --wait"
        raise UserError(f"There is no experiment '{name}' in runs/. {listed}")
    return folder


def _check_rights(folder: Path) -> None:
    """Raise `UserError` where an experiment may be there, but its folder, or the one above, is closed."""
    try:
        (folder / SPEC).stat()
    except PermissionError as problem:
        raise unreadable_file(folder, problem) from None
    except (OSError, ValueError):  # it is not there, or nothing can have that name
        pass


def list_experiments(root: Path) -> list[str]:
    """Names of the experiments that have a folder, launched and imported, the latest first."""
    found = [path for name in (SPEC, IMPORTED) for path in runs_folder(root).glob(f"*/{name}")]
    latest = sorted(found, key=lambda path: (-file_stamp(path)[0], path.parent.name))
    return list(dict.fromkeys(path.parent.name for path in latest))


def latest_evaluated(root: Path) -> str | None:
    """The latest experiment that has any result; None where there is none, or where folders are closed."""
    for name in list_experiments(root):
        folder = runs_folder(root) / name
        with suppress(UserError):
            if (folder / IMPORTED).exists() or evaluation_files(folder, SCORES_FILE):
                return name
    return None


def read_experiment(root: Path, name: str) -> Experiment:
    """The description of an experiment. Raises `UserError` naming the file where it can't be read."""
    path = known_folder(root, name) / SPEC
    if path.exists():
        value = read_yaml(path)
    else:
        path = path.with_name(IMPORTED)
        value = read_json(path)
    return validated(Experiment, _plain(value, name), str(path)).model_copy(
        update={"test_time": recorded_seen(path.parent)}
    )


def recorded_seen(folder: Path) -> dict[str, int]:
    """The variants of an experiment's folder that were trained at test time, with the number of evaluated
    tasks whose demonstrations they saw."""
    return {variant: most.seen for variant, most in counts_by_variant(folder).items() if most.seen}


def _searches(value: dict[str, Any]) -> bool:
    for key in ("evaluation", "inference", "search"):
        value = value.get(key) if isinstance(value, dict) else None  # type: ignore[assignment]
    return value is not None


def _plain(value: Any, name: str) -> Any:
    """The name is the folder's, which may have been renamed; a spec's variants are the keys of a mapping."""
    if not isinstance(value, dict):
        return value
    variants = value.get("variants")
    return {
        **value,
        "name": name,
        "search": _searches(value),
        "variants": list(variants) if isinstance(variants, dict) else variants,
    }
