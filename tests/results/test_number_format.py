"""Numbers have as many digits as their spread deserves, and exports keep them."""

import csv
import io
from pathlib import Path

import pytest

from core.reports.exports import csv_text, latex, markdown
from core.reports.text_tables import results_table
from core.results.number_format import (
    column_texts,
    common_decimals,
    decimals_for,
    difference,
    interval,
    mean_and_std,
    percent,
    spread_text_of,
    spread_texts,
)
from tests.result_table import result_records


@pytest.mark.parametrize(
    "std, decimals",
    [
        *((0.8, 1), (0.21, 2), (0.18, 2), (0.25, 2), (0.9, 1), (1.4, 1), (0.5, 1), (3.4, 1), (5.2, 0)),
        *((12, 0), (0.084, 2), (0.096, 2), (0.097, 2), (9.7, 0), (0.355, 1)),
        *((0, 1), (None, 1), (float("nan"), 1), (1e-9, 4)),
    ],
)
def test_decimals_follow_the_spread(std: float | None, decimals: int) -> None:
    assert decimals_for(std) == decimals


@pytest.mark.parametrize(
    "mean, std, n, text",
    [
        (0.412, 0.008, 3, "41.2 ± 0.8 (n = 3)"),
        (0.0631, 0.0021, 3, "6.31 ± 0.21 (n = 3)"),
        (0.199, 0.014, 2, "19.9 ± 1.4 (n = 2)"),
        (0.412, None, 1, "41.2 (n = 1)"),
        (0.0, 0.0, 2, "0.0 ± 0.0 (n = 2)"),
        (None, None, 0, "–"),
    ],
)
def test_mean_and_std(mean: float | None, std: float | None, n: int, text: str) -> None:
    assert mean_and_std({"mean": mean, "std": std, "n": n}) == text


def test_differences_have_a_sign_and_a_real_minus() -> None:
    assert difference(0.022, 0.009, 0.035) == "+2.2 [+0.9, +3.5]"
    assert difference(0.003, -0.013, 0.019) == "+0.3 [−1.3, +1.9]"
    assert difference(-0.1, None, None) == "−10.0"
    assert percent(-0.00001, 1, sign=True) == "0.0"
    assert interval(None, 0.2) == "–"


def test_a_column_of_stds_has_one_number_of_decimals() -> None:
    assert spread_texts([0.0221, 0.0, 0.104, None]) == ["2", "≈ 0", "10", "–"]
    assert spread_texts([0.0028, 0.0123]) == ["0.3", "1.2"]
    assert spread_texts([0.0, 0.0]) == ["≈ 0", "≈ 0"]


def test_plain_numbers_of_a_column_have_one_number_of_decimals() -> None:
    assert [common_decimals(values) for values in ([22.65625, 0.0], [6.25, 1.5, None], [1.0], [])] == [
        4,
        2,
        0,
        0,
    ]
    assert common_decimals([0.5, 1e-7]) is None


def test_a_std_that_its_digits_cannot_show_is_about_0() -> None:
    assert [spread_text_of(std) for std in (None, 0.0, 1e-12, 0.00002, 0.012)] == [
        "–",
        "≈ 0",
        "≈ 0",
        "0.0020",
        "1.2",
    ]


def test_exports_hold_the_same_numbers(project: Path) -> None:
    records = result_records(project, "my-question")
    table = results_table(records, caption="50 % † saw_all")
    header, rows = table.header, [[cell.strip() for cell in row] for row in table.rows]
    text = markdown(header, rows)
    lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines()]
    assert lines[0] == header and lines[2:] == rows
    back = list(csv.DictReader(io.StringIO(csv_text(records))))
    assert [float(row["mean"]) for row in back] == [record["mean"] for record in records]
    assert r"vote\_2, \%" in table.latex and table.latex.count(r"$\pm$") == len(records)
    assert r"\caption{50 \% \textsuperscript{\dag} saw\_all}" in table.latex and "& better" in table.latex
    assert table.markdown.endswith("|\n\n50 % † saw_all\n") and "against the baseline, points" in header[-2]


def test_a_column_has_one_number_of_decimals_below_each_other() -> None:
    numbers = [(0.472, 0.023), (0.0631, 0.121), (0.199, 0.0004), (0.3, None), (None, None)]
    found = column_texts([{"mean": mean, "std": std} for mean, std in numbers])
    assert found == ["47.20 ±  2.30", "6.31 ± 12.10", "19.90 ±  0.04", "30.00        ", "–        "]
    assert column_texts([{"mean": 0.5, "std": None}, {"mean": 0.25, "std": None}]) == ["50.0", "25.0"]
    assert column_texts([{"mean": 2.5, "std": 0.021, "unit": "number"}]) == ["2.500 ± 0.021"]


def test_latex_and_markdown_escape() -> None:
    assert latex(["a_b"], [["50% & \\x ± −1"]]).splitlines()[4] == r"50\% \& \textbackslash{}x $\pm$ $-$1 \\"
    assert markdown(["a|b"], []).startswith("| a\\|b |")
    assert csv_text([{"mean": None, "n": 1}]) == "mean,n\n,1\n"
