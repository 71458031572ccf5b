"""The recipes of the shipped base models: what they were trained on gives away no evaluation task."""

import shutil
from pathlib import Path

import pytest

from core.curation.leaks import key
from core.curation.source_names import stored_name
from core.curation.sources import load_tasks
from core.mixing.mixtures import MixtureSettings, SourceShare, eligible_tasks, mixture_leaks
from core.specs.spec import find_spec, read_spec
from core.storage.model_files import model_fingerprint
from core.storage.models import SHIPPED, check_model_folder, model_summary

ROOT = Path(__file__).resolve().parents[2]


ARC_ALONE = "study-base"


@pytest.fixture(scope="module")
def public(public: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sets, with the flags that come with the project."""
    root = tmp_path_factory.mktemp("flagged")
    shutil.copytree(public / "data", root / "data")
    shutil.copy(ROOT / "data" / "flags.jsonl", root / "data" / "flags.jsonl")
    return root


@pytest.fixture(
    scope="module", params=["arc-tiny", "arc-tiny-longer", "arc-pair", "arc-pair-longer", ARC_ALONE]
)
def mixture(request: pytest.FixtureRequest) -> MixtureSettings:
    """What each part of a recipe draws from, with the families that it holds out."""
    spec = read_spec(find_spec(ROOT, request.param))
    mixture = spec.recipe_of(spec.baseline).mixture
    whole = tuple(share.model_copy(update={"partition": None}) for share in mixture.sources)
    return mixture.model_copy(update={"sources": whole})


def is_arc_alone(mixture: MixtureSettings) -> bool:
    return len(mixture.sources) == 1


def test_it_is_trained_on_training_families_only(mixture: MixtureSettings) -> None:
    others = set() if is_arc_alone(mixture) else {"re-arc", "concept-arc", "mini-arc"}
    assert {stored_name(share.source) for share in mixture.sources} == {"arc1/training"} | others
    assert set(mixture.exclude_leaks_with) == {"arc1/evaluation", "arc2/evaluation"}


def test_nothing_that_it_was_trained_on_gives_an_evaluation_task_away(
    mixture: MixtureSettings, public: Path
) -> None:
    evaluated = [
        task for name in ("arc1/evaluation", "arc2/evaluation") for task in load_tasks(public, name).values()
    ]
    assert len(evaluated) == 520
    assert mixture_leaks(public, mixture, evaluated).leaks == ()
    drawn = [eligible_tasks(public, share, mixture) for share in mixture.sources]
    assert all(drawn)
    trained = {key(task) for tasks in drawn for task in tasks}
    assert len(trained) > (200 if is_arc_alone(mixture) else 400)

    # Limits of size may leave out the known traps too; without them the exclusion has to.
    whole = tuple(SourceShare(source=share.source) for share in mixture.sources)
    unlimited = mixture.model_copy(update={"sources": whole})
    assert mixture_leaks(public, unlimited, evaluated).leaks == ()
    open_to_all = unlimited.model_copy(update={"exclude_leaks_with": ()})
    found = {
        (stored_name(leak.source_a), leak.task_a)
        for leak in mixture_leaks(public, open_to_all, evaluated).leaks
    }
    # Demonstrations that equal those of an evaluated task give nothing away, so `demos:` has no such trap.
    traps = {("arc1/training", "40853293"), ("arc1/training", "caa06a1f"), ("re-arc", "40853293")}
    there = {trap for trap in traps if SourceShare(source=trap[0]) in whole}
    assert there <= found and found


def test_no_pair_of_it_is_a_pair_of_an_evaluation(mixture: MixtureSettings, public: Path) -> None:
    """Cell by cell, and without the leak check: no pair of more than a few cells stands in both."""

    def pairs(tasks: object) -> set[bytes]:
        return {
            bytes((*pair.input.shape, *pair.output.shape)) + pair.input.tobytes() + pair.output.tobytes()
            for task in tasks  # type: ignore[attr-defined]
            for pair in task.pairs
            if pair.output is not None and pair.input.size + pair.output.size > 20
        }

    trained = pairs([t for share in mixture.sources for t in eligible_tasks(public, share, mixture)])
    held = [t for name in ("arc1", "arc2") for t in load_tasks(public, f"{name}/evaluation").values()]
    assert len(trained) > (500 if is_arc_alone(mixture) else 2000) and len(pairs(held)) > 2000
    assert trained & pairs(held) == set()


@pytest.mark.parametrize(("name", "context"), [("arc-tiny", 4096), ("arc-pair", 512), ("arc1-pair", 512)])
def test_the_shipped_model_is_the_one_of_its_card(name: str, context: int) -> None:
    folder = SHIPPED / name
    check_model_folder(folder)
    summary = model_summary(folder, name)
    assert summary["weights_bytes"] <= 12_000_000 and summary["context"] == context
    assert model_fingerprint(str(folder)) in (folder / "README.md").read_text(encoding="utf-8")
