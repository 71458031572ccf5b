"""The tables of a project as a query sees them, the verb that asks, and queries that are kept."""

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.__main__ import app
from core.curation.flags import add_flag
from core.curation.sources import load_tasks
from core.errors import UserError
from core.exchange.import_scores import import_results
from core.runs.layout import Run
from core.sql.ask import ask, first_query, known_variants, records, views_of
from core.sql.examples import SOURCES, example_queries
from core.sql.saved import list_queries, read_query, save_query
from core.sql.tables import PHRASES, all_columns, schema
from core.storage.files import append_record, append_records, read_json, write_json
from core.synthetic.experiments import SKILLS, SOURCE, make_experiment
from tests.printed import printed
from tests.result_table import result_records

NAME = "my-question"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment, results from elsewhere, a flag and two progress reports."""
    root = tmp_path_factory.mktemp("project")
    (root / "old.csv").write_text("variant,train_seed,eval_seed,accuracy\nA,0,0,25\nA,1,0,35\n")
    import_results(root, root / "old.csv", "old", percent=True)
    make_experiment(root, NAME, tasks=10, attempts=4)
    add_flag(root, next(iter(load_tasks(root, SOURCE))), SOURCE, "yes", "somebody")
    run = Run(root, NAME, "plain", 0)
    for step, loss in ((1, 2.0), (2, float("nan"))):
        append_record(run.folder / "progress.jsonl", {"stage": "train", "step": step, "loss": loss})
    return root


def rows(root: Path, sql: str) -> list[dict]:
    return records(ask(root, sql))


def test_a_query_of_all_columns_is_answered(root: Path) -> None:
    for name in schema():
        query = all_columns(name, "it's mine")
        assert [column for column, _ in schema()[name]] == ask(root, query).table.column_names


def test_every_table_has_the_columns_that_the_schema_says(root: Path) -> None:
    wanted = {name: {column for column, _ in columns} for name, columns in schema().items()}
    assert wanted.keys() == PHRASES.keys() and len(wanted) >= 7
    for name, columns in wanted.items():
        answer = ask(root, f"SELECT * FROM {name}")
        assert set(answer.table.column_names) == columns, name
        assert answer.table.num_rows > 0, name


def test_the_first_query_agrees_with_the_results(root: Path) -> None:
    found = {row["variant"]: row for row in rows(root, first_query(root))}
    wanted = [one for one in result_records(root, NAME) if one["metric"] == "accuracy"]
    assert len(wanted) == len(SKILLS)
    for record in wanted:
        row = found[record["variant"]]
        assert row["recipe_mean"] == pytest.approx(100 * record["mean"])
        assert row["recipe_std"] == pytest.approx(100 * record["std"])


def test_first_queries_suit_what_is_there(root: Path, tmp_path: Path) -> None:
    imported = [row["accuracy"] for row in rows(root, first_query(root, "old"))]
    assert imported == pytest.approx([25, 35])
    assert rows(tmp_path, first_query(tmp_path)) == []
    assert rows(tmp_path, "SELECT * FROM scores, predictions, runs, progress, flags, imported") == []


def test_grids_are_decoded(root: Path) -> None:
    seen = {}
    for row in rows(root, "SELECT * FROM pairs WHERE role = 'test'"):
        seen[row["task_id"], row["pair_index"]] = row["output_grid"]
    checked = 0
    for task in load_tasks(root, SOURCE).values():
        for index, pair in enumerate(task.test):
            assert pair.output is not None
            text = "/".join("".join(map(str, line)) for line in pair.output.tolist())
            assert seen[task.task_id, index] == text
            checked += 1
    assert checked >= 10
    (counts,) = rows(
        root,
        "SELECT count(*) AS n, count(output_grid) AS grids, count(output_h) AS heights FROM predictions",
    )
    assert counts["grids"] == counts["heights"] < counts["n"]


def test_records_of_runs_are_tables(root: Path) -> None:
    (run,) = rows(
        root,
        "SELECT state, method, settings->>'$.recipe.base_model' AS base FROM runs"
        " WHERE variant = 'plain' AND train_seed = 0",
    )
    assert run == {"state": "done", "method": "full", "base": "tiny"}
    progress = rows(root, "SELECT step, isnan(loss) AS lost FROM progress ORDER BY step")
    assert progress == [{"step": 1, "lost": False}, {"step": 2, "lost": True}]
    assert rows(root, 'SELECT value, "by" FROM flags') == [{"value": "yes", "by": "somebody"}]


def test_only_named_tables_are_prepared(root: Path) -> None:
    views = views_of(root, "SELECT * FROM Flags")
    assert (views.files, views.statements, list(views.tables)) == ((), (), ["flags"])


def test_variants_are_known_by_their_experiment(root: Path) -> None:
    assert known_variants(root, ["plain", None]) == (tuple(SKILLS), "plain")
    assert known_variants(root, ["A"]) == (("A",), "A")
    assert known_variants(root, ["nobody"]) == ((), "")


def test_a_damaged_file_is_named(root: Path, tmp_path: Path) -> None:
    make_experiment(tmp_path, NAME, {"plain": 0.0}, runs=1, evaluations=1, tasks=2, attempts=2)
    path = Run(tmp_path, NAME, "plain", 0).eval_folder(0) / "scores.parquet"
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError, match=r"scores\.parquet"):
        ask(tmp_path, "SELECT * FROM scores")


def test_what_a_column_cannot_hold_is_no_traceback(tmp_path: Path) -> None:
    make_experiment(tmp_path, NAME, {"plain": 0.0}, runs=1, evaluations=1, tasks=2, attempts=2)
    run = Run(tmp_path, NAME, "plain", 0)
    record = read_json(run.record_file)
    record["recipe"]["base_model"] = "half \ud800"
    write_json(run.record_file, record)
    append_records(run.progress_file, [{"time": 1.0, "stage": "train", "step": 2**70, "loss": 10**400}])
    (shown,) = rows(tmp_path, "SELECT base_model FROM runs")
    assert shown == {"base_model": "half ?"}
    assert rows(tmp_path, "SELECT step, loss FROM progress") in ([], [{"step": None, "loss": None}])


def test_the_verb_speaks_json_csv_and_table(root: Path) -> None:
    query = "SELECT variant, count(*) AS n, NULL AS nothing FROM scores GROUP BY variant ORDER BY variant"
    found = json.loads(printed(root, "sql", query, "--json"))
    assert [row["variant"] for row in found] == sorted(SKILLS)
    assert found[0]["nothing"] is None
    read = list(csv.DictReader(io.StringIO(printed(root, "sql", query, "--format", "csv"))))
    assert [row["n"] for row in read] == [str(row["n"]) for row in found]
    assert "3 rows in" in printed(root, "sql", query)
    cut = CliRunner().invoke(app, ["sql", query, "--json", "--rows", "1", "--root", str(root)])
    assert len(json.loads(cut.stdout)) == 1
    assert "Shown: only the first 1 row." in cut.stderr


def test_answers_are_printed_as_they_stand(root: Path) -> None:
    """Markup of the terminal's library is text, and a control character does not reach the terminal."""
    query = """SELECT '[/x] [red]a' || chr(27) || '[2J' AS "[/b]", 'nan'::DOUBLE AS v"""
    shown = printed(root, "sql", query)
    assert "[/b]" in shown and "[/x] [red]a" in shown
    assert "\x1b" not in shown
    assert json.loads(printed(root, "sql", query, "--json")) == [{"[/b]": "[/x] [red]a\x1b[2J", "v": None}]


def test_saved_queries_are_files(tmp_path: Path) -> None:
    assert list_queries(tmp_path) == []
    path = save_query(tmp_path, "my-first_1", "SELECT 1 AS one\n\n")
    assert path == tmp_path / "data" / "queries" / "my-first_1.sql"
    assert (list_queries(tmp_path), read_query(tmp_path, "my-first_1")) == (
        ["my-first_1"],
        "SELECT 1 AS one\n",
    )
    result = CliRunner().invoke(app, ["sql", "--saved", "my-first_1", "--json", "--root", str(tmp_path)])
    assert json.loads(result.stdout) == [{"one": 1}]


def test_examples_are_answered_and_a_name_may_have_blanks(root: Path) -> None:
    found = example_queries(root, NAME)
    assert len(found) >= 6 and f"{NAME}: training loss" in found
    for sql in found.values():
        assert ask(root, sql).table.num_columns >= 3
    save_query(root, "tasks of each source", SOURCES)
    assert read_query(root, "tasks of each source") == SOURCES
    assert set(example_queries(root, "nothing")) == set(found)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "-x", "a ", " a", "x" * 65, "é", "x\n"])
def test_names_that_are_no_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="no name of a query"):
        save_query(tmp_path, name, "SELECT 1")
    with pytest.raises(UserError, match="no saved query"):
        read_query(tmp_path, name)
    assert not (tmp_path / "data").exists()
