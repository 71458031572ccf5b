"""Every page says what to do next, also where there is nothing to show or a file is broken."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.shown import as_read

SCREENS = Path(__file__).resolve().parents[2] / "dashboard" / "screens"
SECONDS = 120


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARC_WORKBENCH_ROOT", str(tmp_path))
    return tmp_path


def test_curate_offers_to_import_where_there_is_no_source(root: Path) -> None:
    page = AppTest.from_file(str(SCREENS / "curate.py")).run(timeout=SECONDS)
    assert [button.label for button in page.button] == ["Import ARC-1"]
    assert not page.exception


def test_curate_names_a_damaged_file_in_a_sentence(root: Path) -> None:
    record = root / "data" / "sources" / "mine.json"
    record.parent.mkdir(parents=True)
    record.write_text("{")
    page = AppTest.from_file(str(SCREENS / "curate.py")).run(timeout=SECONDS)
    assert "mine.json is no valid JSON" in as_read(page.warning[0].value)
    assert not page.exception
