"""All experiments at a glance: the records say what the files say, and the search finds what it holds."""

from pathlib import Path

import pytest

from core.experiments.notes import Notes, write_notes
from core.reports.experiment_index import answer_of, experiment_records, wanted_records
from core.results.loading import load_scores
from core.runs.layout import Run
from core.runs.state import RunState, write_state
from core.storage.files import append_record
from core.synthetic.experiments import make_experiment
from tests.result_table import result_records


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("index")
    make_experiment(root, "first", {"plain": 0, "longer": 3}, runs=3, evaluations=1, tasks=20)
    make_experiment(root, "second", {"plain": 0, "longer": 0}, runs=2, evaluations=1, tasks=20)
    write_state(Run(root, "second", "longer", 1), RunState("failed", "train", error="NaN"))
    append_record(root / "runs" / "first" / "launches.jsonl", {"by": "ada", "command": []})
    write_notes(root, "first", Notes(("noise",), pinned=True))
    broken = root / "runs" / "broken"
    broken.mkdir()
    (broken / "experiment.yaml").write_text("name: [")
    return root


def test_a_record_agrees_with_the_files(root: Path) -> None:
    records = {record["experiment"]: record for record in experiment_records(root)}
    first, second, broken = (records[name] for name in ("first", "second", "broken"))
    assert (first["state"], first["share"], first["variants"], first["trainings"]) == ("done", 1.0, 2, 3)
    assert (first["owner"], first["tags"], first["pinned"]) == ("ada", ("noise",), True)
    assert (second["state"], second["share"], second["owner"]) == ("failed", 0.75, "")
    assert broken["state"] == "broken" and "no valid YAML" in broken["problem"]


def test_the_answer_names_the_best_variant_and_its_number(root: Path) -> None:
    found = answer_of(load_scores(root, "first"))
    record = next(one for one in result_records(root, "first", ["accuracy"]) if one["variant"] == "longer")
    assert (found.variant, found.metric, found.mean) == ("longer", "accuracy", record["mean"])
    assert "longer is better than plain" in found.sentence and "(n = 3)" in found.text


def test_the_search_keeps_what_it_finds_and_the_pinned_stand_first(root: Path) -> None:
    records = experiment_records(root)

    def names(**how: object) -> list[str]:
        return [record["experiment"] for record in wanted_records(records, **how)]  # type: ignore[arg-type]

    assert names()[0] == "first" and len(names()) == 3
    assert names(words="ADA noise") == ["first"]
    assert names(words="nothing of it") == []
    assert names(states=["failed", "broken"], order="name") == ["broken", "second"]
    assert names(tags=["noise"]) == ["first"]
