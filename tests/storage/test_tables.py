"""Grids survive parquet, an empty glob is typed, and each thread gets its own rows."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.storage.queries import parquet, query, rows
from core.storage.schemas import PAIRS, PREDICTIONS, SCORES, grid_columns, grids_of, write_table
from tests.arc.strategies import grids


@given(st.lists(st.none() | grids(30), max_size=5))
def test_grids_come_back_from_their_columns(values: list[np.ndarray | None]) -> None:
    schema = pa.schema([field for field in PAIRS if field.name.startswith("input")])
    table = pa.table(grid_columns("input", values), schema=schema)
    for before, after in zip(values, grids_of(table, "input"), strict=True):
        assert (before is None) == (after is None)
        assert before is None or (after is not None and before.tolist() == after.tolist())


@pytest.mark.parametrize("schema", [PAIRS, PREDICTIONS, SCORES])
def test_no_file_is_a_typed_empty_table(schema: pa.Schema) -> None:
    empty = query(f"SELECT * FROM {parquet([], schema)}")
    assert empty.num_rows == 0
    assert empty.schema.names == schema.names
    assert [field.type for field in empty.schema] == [field.type for field in schema]


def test_files_are_joined_by_the_names_of_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"c": [2.5], "a": [2]}), tmp_path / "2's.parquet")
    paths = sorted(tmp_path.glob("*.parquet"))
    found = rows(f"SELECT * FROM {parquet(paths, PAIRS)} WHERE a >= $low ORDER BY a", {"low": 1})
    assert found == [{"a": 1, "b": "x", "c": None}, {"a": 2, "b": None, "c": 2.5}]


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "torn.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"torn.parquet is damaged \("):
        rows(f"SELECT * FROM {parquet([path], PAIRS)}")


def test_threads_do_not_see_each_others_rows() -> None:
    def ask(number: int) -> bool:
        found = rows("SELECT $n::BIGINT AS n, i FROM range(200) AS t(i)", {"n": number})
        return len(found) == 200 and {row["n"] for row in found} == {number}

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(100)))
    assert len(answers) == 100
    assert all(answers)


def test_a_table_is_written_in_the_order_and_types_of_its_schema(tmp_path: Path) -> None:
    columns = {name: [None] for name in reversed(PAIRS.names)} | {"pair_index": [7]}
    write_table(tmp_path / "pairs.parquet", pa.table(columns), PAIRS)
    assert pq.read_schema(tmp_path / "pairs.parquet").equals(PAIRS)
