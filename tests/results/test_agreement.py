"""One number has one value: verbs, the page's table, lab notes and files of random experiments agree."""

import csv
import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from core.checks.leak_warnings import seen_labels
from core.reports.html_table import result_table
from core.reports.text_tables import results_table
from core.reports.variant_styles import variant_colours
from core.results.conclusion import experiment_answer
from core.results.loading import load_scores
from core.results.number_format import difference
from core.results.reading import Reading
from core.results.table_records import records_of
from core.results.verdicts import verdict_rows
from core.seeds import generator
from core.synthetic.experiments import make_experiment
from tests.printed import printed

NAMES, ENDS = ("plain", "longer", "colours", "both"), ("difference", "low", "high")
NUMBERS = ("mean", "std", "low", "high", *(f"verdict_{key}" for key in ENDS))
Found = dict[tuple[str, str], dict[str, Any]]


def make(root: Path, number: int) -> str:
    """An experiment of random size and truth."""
    rng, name = generator(0, "agreement", number), f"random-{number}"
    variants, runs, evaluations, tasks, attempts = (
        int(rng.integers(low, high + 1)) for low, high in ((2, 4), (1, 4), (1, 2), (4, 9), (1, 3))
    )
    skills = {variant: float(3 * rng.normal()) for variant in NAMES[:variants]}
    sizes = {"runs": runs, "evaluations": evaluations, "tasks": tasks, "attempts": attempts}
    make_experiment(root, name, skills, seed=number, **sizes)
    return name


def page(root: Path, name: str, metric: str) -> str:
    """The table of a metric as Results and the lab note show it."""
    scores = load_scores(root, name)
    spec, records = scores.experiment, records_of(scores, Reading((metric,)))
    cells = {(record["variant"], metric): record for record in records}
    colours = variant_colours(scores.variants, spec.baseline)
    rows = verdict_rows(scores, metric)
    return result_table(rows, cells, [metric], metric, spec.baseline, "recipe", colours, seen_labels(scores))


def against(record: dict[str, Any]) -> str:
    return difference(*(record[f"verdict_{key}"] for key in ENDS), record["unit"])


def check_files(records: list[dict[str, Any]], found: Found, main: str, variants: list[str]) -> None:
    table = results_table(records)
    rows = list(csv.DictReader(io.StringIO(table.csv)))
    assert len(rows) == len(records) >= 8
    for row, record in zip(rows, records, strict=True):
        assert [float(row[key]) if row[key] else None for key in NUMBERS] == [record[key] for key in NUMBERS]
        assert (row["verdict"] or None, int(row["n"])) == (record["verdict"], record["n"])
    for variant in variants[1:]:
        record = found[variant, main]
        (line,) = (line for line in table.markdown.splitlines() if line.startswith(f"| {variant} "))
        assert against(record) in line and record["verdict"] in line
        (line,) = (line for line in table.latex.splitlines() if line.startswith(f"{variant} "))
        assert against(record).split()[0].replace("−", "$-$") in line and record["verdict"] in line


def check_page(table: str, metric: str, found: Found, variants: list[str]) -> None:
    lines = re.findall(r"<tr>.*?</tr>", table, re.DOTALL)[1:]
    assert len(lines) == len(variants)
    for line in lines:
        text = unescape(re.sub("<[^>]+>", " ", line))
        record = found[next(variant for variant in variants if variant in text.split()), metric]
        assert (record["verdict"] or "baseline") in text
        assert record["verdict"] is None or against(record) in text


@pytest.mark.parametrize("place", range(10))
def test_all_forms_of_a_table_agree(tmp_path: Path, place: int) -> None:
    name = make(tmp_path, place)
    records: list[dict[str, Any]] = json.loads(printed(tmp_path, "results", name, "--json"))
    found = {(record["variant"], record["metric"]): record for record in records}
    variants = list(dict.fromkeys(variant for variant, _ in found))
    main = records[0]["metric"]
    check_files(records, found, main, variants)
    for metric in dict.fromkeys(metric for _, metric in found):
        check_page(page(tmp_path, name, metric), metric, found, variants)
    if place == 0:
        printed(tmp_path, "results", name, "--html", str(tmp_path / "note.html"))
        assert page(tmp_path, name, main) in (tmp_path / "note.html").read_text(encoding="utf-8")

    compared = json.loads(printed(tmp_path, "compare", name, variants[0], variants[-1], "--json"))
    over_recipes = [one for one in compared if one["scope"] == "recipe"]
    assert len(over_recipes) == len({metric for _, metric in found})
    for one in over_recipes:
        record = found[variants[-1], one["metric"]]
        assert [one[key] for key in ENDS] == [record[f"verdict_{key}"] for key in ENDS]
        assert (one["verdict"], one["main"]) == (record["verdict"], record["main"])

    answer = experiment_answer(load_scores(tmp_path, name))
    told = {word: [v for v in variants if found[v, main]["verdict"] == word] for word in ("better", "worse")}
    named = told["better"] or told["worse"]
    assert bool(named) == bool(re.search(r" is (better|worse) than plain by ", answer))
    assert all(variant in answer for variant in named) and bool(named) != ("can't tell" in answer)
