"""The study that comes with the project: its page says what its files hold, and no file names a machine."""

import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev

import duckdb
import pytest

from core.curation.sources import load_tasks
from core.experiments.examples import FOLDER, open_example
from core.reports.captions import marks, results_caption
from core.reports.text_tables import results_table, with_test_time
from core.results.answers import answers_of
from core.results.conclusion import experiment_answer
from core.results.loading import Scores, load_scores
from core.results.table_records import records_of

REPOSITORY = Path(__file__).resolve().parents[2]
STUDY = REPOSITORY / FOLDER / "study"
PAGE = (REPOSITORY / "docs" / "study.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project in which the study was opened."""
    root = tmp_path_factory.mktemp("study")
    (root / FOLDER).parent.mkdir(parents=True)
    (root / FOLDER).symlink_to(REPOSITORY / FOLDER)
    open_example(root, "study")
    return root


@pytest.fixture(scope="module")
def scores(root: Path) -> Scores:
    return load_scores(root, "study")


def test_its_answers_can_be_looked_at_in_a_new_project(root: Path, scores: Scores) -> None:
    source, task_id = scores.tasks[0]
    assert task_id in load_tasks(root, source)
    assert answers_of(root, "study", scores.evaluations, source, task_id)


def test_it_has_the_runs_that_the_page_names(scores: Scores) -> None:
    assert scores.variants == ["arc1", "re-arc", "mini-arc", "concept-arc", "reversed", "all"]
    assert len(scores.evaluations) == 6 * 5 * 2
    assert len(scores.tasks) == 36
    assert not list(STUDY.rglob("*.safetensors"))
    assert len(list(STUDY.rglob("predictions.parquet"))) >= 2


def test_the_pages_table_is_the_products(root: Path, scores: Scores) -> None:
    records = records_of(scores)
    caption = results_caption(root, scores)
    table = with_test_time(results_table(records, caption=caption, marks=marks(root, "study")), scores)
    lines = [line for line in table.markdown.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 6
    assert [line for line in lines if line not in PAGE] == []
    assert table.caption.count("saw the demonstrations") == 1


def test_the_means_follow_from_the_scores_by_plain_sql() -> None:
    """Mean over a task's outputs, then over tasks, then over evaluations; mean and std over trainings."""
    query = """SELECT avg(share) FROM (SELECT avg(correct / attempts) AS share FROM read_parquet(?)
               GROUP BY source, task_id)"""
    runs: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with duckdb.connect() as database:
        for path in sorted(STUDY.rglob("scores.parquet")):
            variant, seed, _ = path.relative_to(STUDY).parts[:3]
            ((mean,),) = database.execute(query, [str(path)]).fetchall()
            runs[variant][seed].append(mean)
    for variant, by_seed in runs.items():
        means = [100 * fmean(values) for values in by_seed.values()]
        row = next(line for line in PAGE.splitlines() if re.match(rf"\| {variant} †", line))
        shown = [float(number) for number in row.split("|")[2].split("±")]
        assert shown == pytest.approx([fmean(means), stdev(means)], abs=0.06)


def test_the_answer_stands_on_the_page(scores: Scores) -> None:
    assert experiment_answer(scores) in " ".join(PAGE.split())


def test_nothing_in_it_names_a_machine() -> None:
    paths = re.compile(r'"/|/(home|root|tmp|work|Users)/|"host": "')
    files = [path for path in STUDY.rglob("*") if path.suffix in (".json", ".jsonl", ".yaml", ".txt")]
    assert len(files) > 60
    found = [path for path in files if paths.search(path.read_text(encoding="utf-8"))]
    assert found == []
