"""A path is data: the same project gives the same numbers, whatever the folders above it are called."""

import os
import shutil
from pathlib import Path

import pytest

from core.checks.alarms import check_records
from core.results.answers import answers_of
from core.results.curves import curve_records
from core.results.loading import load_scores
from core.sql.ask import ask, records
from core.synthetic.experiments import make_experiment
from tests.result_table import result_records

NAME = "my-question"
FOLDERS = (
    "variant=old/train_seed=7/filename=x",
    "arc [25]",
    "a*b/**/{plain,long}",
    "back\\slash/quo'te",
    "~/s3:/naïve \u2028\n%20 #$name?",
    os.fsdecode(b"caf\xe9/\xff"),
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plain")
    make_experiment(root, NAME, runs=2, evaluations=2, tasks=5, attempts=4)
    return root


def numbers(root: Path) -> list[object]:
    """What every reader of result files says."""
    scores = load_scores(root, NAME)
    source, task_id = scores.tasks[0]
    answers = answers_of(root, NAME, scores.evaluations, source, task_id)
    return [
        result_records(root, NAME),
        curve_records(root, scores, "vote_2"),
        check_records(root, NAME),
        [(one.variant, one.train_seed, one.votes, one.kind) for one in answers],
        *(
            records(ask(root, f"SELECT * FROM {table} ORDER BY ALL"))
            for table in ("scores", "predictions", "pairs")
        ),
    ]


@pytest.mark.parametrize("folder", FOLDERS, ids=range(len(FOLDERS)))
def test_no_name_of_a_folder_changes_a_number(
    plain: Path, tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / folder
    neighbour = tmp_path / "arc 2"
    shutil.copytree(plain, odd)
    make_experiment(neighbour, NAME, {"plain": 3.0}, runs=1, evaluations=1, tasks=2, attempts=2)
    wanted = numbers(plain)
    assert all(wanted[place] for place in (0, 1, 3, 4, 5, 6))
    assert numbers(odd) == wanted
    monkeypatch.chdir(odd)
    assert numbers(Path()) == wanted
