"""Every table that a page offers as files comes from a verb in the same four forms, with the same content."""

import csv
import io
import json
import shlex
from pathlib import Path

import pytest

from core.reports.text_tables import command, free_table, unless
from tests.printed import printed
from tests.results.test_run_values import NAME

A, B = "plain", "twice-as-long"
VERBS = {
    "results": ["results", NAME, "--metric", "vote_2", "--metric", "pass_4"],
    "compare": ["compare", NAME, A, B],
    "compare tasks": ["compare", NAME, A, B, "--tasks"],
    "spread": ["spread", NAME],
    "plan": ["plan", NAME],
    "runs": ["runs", "list", NAME],
    "sources": ["data", "list"],
    "sql": ["sql", "SELECT variant, avg(correct) AS mean FROM scores GROUP BY ALL"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_four_forms_hold_the_same(project: Path, verb: str) -> None:
    records = json.loads(printed(project, *VERBS[verb], "--json"))
    rows = list(csv.DictReader(io.StringIO(printed(project, *VERBS[verb], "--format", "csv"))))
    assert len(records) >= 1 and len(rows) == len(records)
    assert [list(row) for row in rows] == [list(record) for record in records]
    lines = printed(project, *VERBS[verb], "--format", "markdown").splitlines()
    latex = printed(project, *VERBS[verb], "--format", "latex").splitlines()
    wanted = 3 if verb == "results" else len(records)
    below, around = (2, 4) if verb in ("results", "compare") else (0, 0)  # the caption
    assert len(lines) == wanted + 2 + below and len(latex) == wanted + 6 + around
    assert {line.count("|") for line in lines[: wanted + 2]} == {lines[0].count("|")}
    begin, end = ("table", "table") if around else ("tabular}{l", "tabular")
    assert latex[0].startswith(rf"\begin{{{begin}") and latex[-1] == rf"\end{{{end}}}"


def test_answers_are_a_table_too(project: Path) -> None:
    task = json.loads(printed(project, "compare", NAME, A, B, "--tasks", "--json"))[0]["task_id"]
    for by, least in (("evaluation", 12), ("run", 6), ("variant", 2)):
        rows = json.loads(printed(project, "predictions", "show", NAME, task, "--by", by, "--json"))
        assert len(rows) >= least and (rows[0]["eval_seed"] is None) == (by != "evaluation")
        lines = printed(
            project, "predictions", "show", NAME, task, "--by", by, "--format", "markdown"
        ).splitlines()
        assert len(lines) == len(rows) + 2


def test_a_command_survives_the_shell() -> None:
    line = command("results", "it's; rm -rf", metric=["a b", "c"], scope=unless("recipe", "recipe"))
    assert shlex.split(line) == [
        *("python", "-m", "core", "results", "it's; rm -rf", "--metric", "a b", "--metric", "c"),
    ]


def test_any_records_are_a_table() -> None:
    table = free_table(["name", "n", "x"], [{"name": "<b>|", "n": 1, "x": 0.123456789}, dict.fromkeys("nx")])
    assert table.rows == [["<b>|", "1", "0.123457"], ["–", "–", "–"]]
    assert table.markdown.splitlines()[2] == "| &lt;b>\\| | 1 | 0.123457 |"
    assert table.latex.splitlines()[0] == r"\begin{tabular}{lrr}"
