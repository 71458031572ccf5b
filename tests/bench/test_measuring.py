"""Records of measurements: ratios, bounds, files that are filled bit by bit, the table in the docs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.__main__ import app
from core.bench import registry
from core.bench.bench_context import Workshop
from core.bench.measuring import BEGIN, END, keep, markdown, put_into, read_measured, records_of
from core.bench.registry import Benchmark, Measured, Row, all_rows, benchmarks, chosen, holds, ratio_of
from core.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "figures.md"
FIGURES = ROOT / "data" / "bench.json"
SLOW = Row("slow", "s", "Takes long.", wanted="< 2", peer="by hand", wanted_ratio="≥ 3")
FAST = Row("fast", "tokens/s", "Does much.", peer="the other", more_is_better=True)


def toy(workshop: Workshop) -> Iterator[Measured]:
    yield Measured("slow", 1.5, peer_value=6.0)
    yield Measured("fast", 3000.0, peer_value=1000.0)


TOY = Benchmark("toy", (SLOW, FAST), toy)


@pytest.fixture
def only_toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "benchmarks", lambda: [TOY])


def test_a_record_has_the_seven_fields_and_a_ratio_above_one_is_good(tmp_path: Path) -> None:
    slow, fast = records_of(TOY, Workshop(tmp_path))
    assert list(slow) == ["name", "value", "unit", "peer", "peer_value", "ratio", "machine"]
    assert (slow["ratio"], fast["ratio"]) == (4.0, 3.0)
    assert "cores" in slow["machine"] and "load" in slow["machine"]


def test_a_given_ratio_counts_and_nothing_is_divided_by_nothing() -> None:
    assert ratio_of(SLOW, Measured("slow", 1.0, 2.0, ratio=5.0)) == 5.0
    assert ratio_of(SLOW, Measured("slow", 1.0)) is None
    assert ratio_of(SLOW, Measured("slow", 0.0, 1.0)) is None


@pytest.mark.parametrize(
    "bound, value, kept",
    [
        ("< 2", 1.9, True),
        ("< 2", 2.0, False),
        ("≥ 30", 30.0, True),
        ("> 1,000", 999.0, False),
        ("", 1.0, None),
    ],
)
def test_bounds(bound: str, value: float, kept: bool | None) -> None:
    assert holds(bound, value) is kept
    assert holds("< 2", None) is None


def test_every_benchmark_can_be_chosen_and_its_rows_can_be_read() -> None:
    names = [one.name for one in benchmarks()]
    rows = [row.name for row in all_rows()]
    assert len(names) >= 1 and len(rows) == len(set(rows)) and len(names) == len(set(names))
    assert [one.name for one in chosen(names[:1])] == names[:1]
    bounds = [bound for row in all_rows() for bound in (row.wanted, row.wanted_ratio) if bound]
    assert len(bounds) >= 1
    assert all(holds(bound, 1.0) is not None for bound in bounds)
    with pytest.raises(UserError, match=f"Did you mean '{names[0]}'"):
        chosen([names[0] + "s"])


def test_a_file_is_filled_bit_by_bit(tmp_path: Path, only_toys: None) -> None:
    path = tmp_path / "figures.json"
    slow, fast = records_of(TOY, Workshop(tmp_path))
    keep(path, [fast])
    keep(path, [slow])
    keep(path, [{**fast, "value": 1.0}])
    assert [(one["name"], one["value"]) for one in read_measured(path)] == [("slow", 1.5), ("fast", 1.0)]
    path.write_text("{}")
    with pytest.raises(UserError, match="python -m core bench --out"):
        read_measured(path)


def test_the_table_marks_what_was_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.bench.measuring.all_rows", lambda: [SLOW, FAST])
    slow, _ = records_of(TOY, Workshop(tmp_path))
    text = markdown([{**slow, "machine": "a box, load 0.5"}])
    assert "| slow | 1.5 s | < 2 s and ≥ 3 × | by hand: 6 s | 4 × | yes | (1) load 0.5 |" in text
    assert "| fast | not measured |" in text
    assert text.endswith("(1) a box\n")
    assert "| no |" in markdown([{**slow, "value": 2.5}])
    document = tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_into(document, [slow])
    put_into(document, [slow])
    assert document.read_text() == f"before\n{BEGIN}\n{markdown([slow])}{END}\nafter\n"
    document.write_text("no marks")
    with pytest.raises(UserError, match="no place for figures"):
        put_into(document, [slow])


def test_the_readme_shows_the_kept_figures() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text[text.index(BEGIN) + len(BEGIN) + 1 : text.index(END)] == markdown(read_measured(FIGURES))


def test_the_verb_measures_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "benchmarks", lambda: [TOY])
    runner = CliRunner()
    said = runner.invoke(app, ["bench", "--only", "toy", "--json", "--in", str(tmp_path)])
    assert [one["name"] for one in json.loads(said.stdout)] == ["slow", "fast"]
    listed = json.loads(runner.invoke(app, ["bench", "list", "--json"]).stdout)
    assert [one["benchmark"] for one in listed] == ["toy", "toy"]
