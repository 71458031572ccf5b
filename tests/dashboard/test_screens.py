"""Every page says what to do next, also where there is nothing to show or a file is broken."""

from pathlib import Path

import pytest

from tests.dashboard.alone import page_alone
from tests.shown import as_read


def test_curate_offers_to_import_where_there_is_no_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_alone(tmp_path, "curate", monkeypatch)
    assert [button.label for button in page.button] == ["Import ARC-1"]


def test_curate_names_a_damaged_file_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "data" / "sources" / "mine.json"
    record.parent.mkdir(parents=True)
    record.write_text("{")
    page = page_alone(tmp_path, "curate", monkeypatch)
    assert "mine.json is no valid JSON" in as_read(page.warning[0].value)
