"""The data page without a browser: empty, with sources, with mistakes; and the HTML that it shows."""

import json
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from streamlit.testing.v1 import AppTest

from core.curation.stored import Dropped, SourceInfo
from core.number_words import share_text
from core.prompts.lengths import Lengths
from dashboard.components import progress as progress_bars
from dashboard.components.source_overview import fit_chart, fit_table, source_colours, source_table
from tests.made_once import copy_of_arc1
from tests.shown import as_read

SCREEN = Path(__file__).resolve().parents[2] / "dashboard" / "screens" / "data.py"
SECONDS = 60


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARC_WORKBENCH_ROOT", str(tmp_path))
    return tmp_path


def page_of(**query: str) -> AppTest:
    page = AppTest.from_file(str(SCREEN))
    for name, value in query.items():
        page.query_params[name] = value
    return page.run(timeout=SECONDS)


def test_work_without_a_known_end_shows_its_count_and_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    place = MagicMock()
    monkeypatch.setattr(progress_bars.st, "empty", lambda: place)
    monkeypatch.setattr(progress_bars, "_SILENT_SECONDS", 0)
    monkeypatch.setattr(progress_bars, "_BETWEEN_SECONDS", 0)
    with progress_bars.progress_bar() as progress:
        progress("Reading tasks", 1200, None)
        place.caption.assert_called_once_with("Reading tasks: 1,200")
        place.progress.assert_not_called()
        progress("Downloading", 3, 4)
        place.progress.assert_called_once_with(0.75, text="Downloading: 3 of 4")
    place.empty.assert_called_once_with()


def test_an_empty_project_offers_to_import(root: Path) -> None:
    page = page_of()
    assert page.button[0].label == "Import ARC-1"
    assert not page.exception


def test_a_mistake_in_the_form_is_one_sentence(root: Path) -> None:
    page = page_of()
    page.selectbox(key="import set").set_value("another file, folder or address").run(timeout=SECONDS)
    page.text_input(key="import origin").set_value(str(root / "nowhere.zip"))
    page.text_input(key="import name").set_value("mine").run(timeout=SECONDS)
    page.button(key="import").click().run(timeout=SECONDS)
    (error,) = page.error
    assert "nowhere.zip" in as_read(error.value)
    assert not page.exception


def test_what_was_typed_for_a_set_is_there_when_it_is_chosen_again(root: Path) -> None:
    page = page_of()
    other = "another file, folder or address"
    page.selectbox(key="import set").set_value(other).run(timeout=SECONDS)
    page.text_input(key="import origin").set_value("tasks.json").run(timeout=SECONDS)
    page.text_input(key="import licence").set_value("MIT").run(timeout=SECONDS)
    page.selectbox(key="import set").set_value("re-arc").run(timeout=SECONDS)
    assert page.text_input(key="import origin re-arc").value == ""
    page.selectbox(key="import set").set_value(other).run(timeout=SECONDS)
    assert page.text_input(key="import origin").value == "tasks.json"
    assert page.text_input(key="import licence").value == "MIT"


def test_a_folder_is_imported_and_dropped_tasks_are_reported(root: Path) -> None:
    good = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}
    path = root / "tasks.json"
    path.write_text(json.dumps({"good": good, "bad": {"train": []}}), encoding="utf-8")
    page = page_of()
    page.selectbox(key="import set").set_value("another file, folder or address").run(timeout=SECONDS)
    page.text_input(key="import origin").set_value(str(path))
    page.text_input(key="import name").set_value("mine").run(timeout=SECONDS)
    page.button(key="import").click().run(timeout=SECONDS)
    (said,) = [as_read(one.value) for one in page.success]
    assert said.startswith("mine: 1 task with 2 pairs read, 1 dropped (1 × Task 'bad' of mine has no demo")
    assert "0 doubled, 0 skipped." in said
    assert page.subheader[0].value == "1 source, 1 task, 2 pairs"
    assert not page.exception


def test_the_preview_is_what_the_recipe_draws(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy_of_arc1(tmp_path_factory, root)
    folder = root / "data" / "experiments"
    folder.mkdir()
    (folder / "broken.yaml").write_text("name: [", encoding="utf-8")
    (folder / "mine.yaml").write_text(
        "name: mine\nbaseline: a\nrecipe: {base_model: tiny, training: {max_seq_len: 600},"
        " mixture: {sources: [{source: arc1/evaluation, weight: 3}]}}\nvariants: {a: {}}\n"
        "evaluation: {sources: [{source: arc1/training}]}\n",
        encoding="utf-8",
    )
    page = page_of()
    page.selectbox(key="mixture").set_value("mine: a").run(timeout=SECONDS)
    assert any("broken.yaml is no valid YAML" in as_read(one.value) for one in page.warning)
    texts = [as_read(one.value) for one in page.markdown]
    assert any("arc1/evaluation × 3" in text for text in texts)
    (sentence,) = (text for text in texts if text.startswith("Of the first 200 samples"))
    assert "arc1/evaluation 100 %" in sentence
    assert "fit max_seq_len, 600 tokens" in sentence
    assert not page.exception


def test_a_broken_record_is_named(root: Path) -> None:
    record = root / "data" / "sources" / "mine.json"
    record.parent.mkdir(parents=True)
    record.write_text("{")
    page = page_of()
    assert "mine.json is no valid JSON" in as_read(page.warning[0].value)
    assert not page.exception


def test_texts_from_outside_are_escaped() -> None:
    bad = "<img src=x onerror=alert(1)>"
    info = SourceInfo(bad, bad, bad, bad, "", 1, 1, 1, (Dropped(bad, bad),))
    shown = source_table([info])
    assert "<img" not in shown
    assert shown.count("&lt;img") == 6


def test_a_share_is_all_or_nothing_only_where_it_is() -> None:
    shares = (0.0, 1e-6, 0.5, 1 - 1e-6, 1.0)
    assert [share_text(share) for share in shares] == ["0 %", "0.1 %", "50.0 %", "99.9 %", "100 %"]


def test_the_rising_line_is_the_share_that_fits() -> None:
    found = [Lengths("a", "embedded", ("x", "y"), (3000, 1000)), Lengths("b", "embedded", (), (), 4)]
    colours = source_colours(["a", "b"])
    (line,) = fit_chart(found, colours).data
    assert (list(line.x), list(line.y)) == ([1000, 1000, 3000], [0, 50, 100])
    table = fit_table(found, colours)
    assert "4 tasks have no known output" in table
    assert [share in table for share in ("50.0 %", "100 %")] == [True, True]
