"""Seals: a damaged byte is seen, a good file never denied, and a file is read once."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import UserError
from core.storage import seals
from core.storage.queries import parquet, rows
from core.storage.schemas import read_table, write_table
from core.storage.seals import check_seal, seal_path

TABLE = pa.table({"variant": ["plain"] * 50, "value": [n / 7 for n in range(50)]})
SCHEMA = TABLE.schema


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "scores.parquet"
    write_table(path, TABLE, SCHEMA)
    return path


def test_every_flipped_bit_is_seen(sealed: Path) -> None:
    whole = sealed.read_bytes()
    flipped = range(0, len(whole), 61)
    assert len(flipped) > 10
    for place in flipped:
        sealed.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"scores.parquet is damaged .* only the scoring is repeated"):
            parquet([sealed], SCHEMA)
        with pytest.raises(UserError, match=r"scores.parquet is damaged"):
            read_table(sealed, SCHEMA)
    sealed.write_bytes(whole)
    assert len(rows(f"SELECT * FROM {parquet([sealed], SCHEMA)}")) == 50


def test_a_file_is_read_once_until_it_changes(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_seal(sealed)

    def never(path: Path) -> str:
        raise AssertionError(path)

    monkeypatch.setattr(seals, "sha256_of", never)
    check_seal(sealed)
    sealed.touch()
    with pytest.raises(AssertionError):
        check_seal(sealed)


def test_a_file_that_is_about_to_be_replaced_is_still_good(sealed: Path, tmp_path: Path) -> None:
    """A writer that dies between the seal and the file leaves the old file, which is no damaged one."""
    fresh = tmp_path / "fresh"
    pq.write_table(TABLE.slice(1), fresh)
    seals.write_seal(sealed, fresh)
    check_seal(sealed)
    fresh.replace(sealed)
    check_seal(sealed)


def test_a_file_from_elsewhere_has_no_seal_and_passes(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    pq.write_table(TABLE, path)
    check_seal(path)
    check_seal(tmp_path / "absent.parquet")


@pytest.mark.parametrize("key", ["source", "task_id", "test_index", "attempt", "role"])
def test_a_file_from_elsewhere_has_all_its_keys(key: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    pq.write_table(pa.table({"text": [None, "a"], key: [1, 2]}), path)
    check_seal(path)
    pq.write_table(pa.table({"text": ["a", "b", "c"], key: [1, None, 2]}), path)
    with pytest.raises(UserError, match=rf"predictions.parquet is damaged \(a row has no {key}\)"):
        read_table(path, pa.schema([("text", pa.string())]))
    pq.write_table(pa.table({"text": ["a", "b", "c"], key: [1, 2, 1]}), path)
    with pytest.raises(UserError, match=rf"is damaged \(a row stands there twice by its {key}\)"):
        read_table(path, pa.schema([("text", pa.string())]))


def test_an_empty_seal_denies(sealed: Path) -> None:
    seal_path(sealed).write_text("")
    with pytest.raises(UserError, match=r"is not what scores\.parquet\.sha256 says"):
        check_seal(sealed)
