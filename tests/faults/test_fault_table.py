"""The fault table: every row names a test that is there, and README the number of rows."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAUNCHING = ("tests/launching/test_faults.py", "tests/launching/test_killed.py")
"""Where the tests of rows are that name no file."""


def rows() -> list[str]:
    lines = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("| ") and not line.startswith("| what ")]


def test_every_row_names_a_test_that_is_there() -> None:
    found = rows()
    assert len(found) > 65
    for row in found:
        first = row.split(" | ")[0]
        named = re.findall(r"`((?:tests/)?[a-z_/]*test_[a-z_]+\.py)`", first)
        for name in named or LAUNCHING:
            path = ROOT / (name if "/" in name else f"tests/launching/{name}")
            assert path.exists(), row


def test_readme_counts_the_rows() -> None:
    said = re.search(r"in (\d+) rows with a test for each", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert said is not None and int(said[1]) == len(rows())
