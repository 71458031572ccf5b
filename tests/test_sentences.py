"""docs/statistics.md lists every sentence about numbers with the test that holds it: both must be there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| ((?:core|dashboard)/\S+\.py) \| (.+) \| (\S+\.py)::(\w+) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "statistics.md").read_text(encoding="utf-8"))
JOIN = re.compile(r'"\s*\n\s*f?"')


def test_the_list_is_long() -> None:
    assert len(ROWS) >= 60 and len({test for *_, test in ROWS}) >= 30


@pytest.mark.parametrize("module", sorted({row[0] for row in ROWS}))
def test_every_sentence_stands_in_its_module(module: str) -> None:
    text = JOIN.sub("", (ROOT / module).read_text(encoding="utf-8"))
    missing = [sentence for name, sentence, *_ in ROWS if name == module and sentence not in text]
    assert not missing


@pytest.mark.parametrize("file", sorted({row[2] for row in ROWS}))
def test_every_named_test_exists(file: str) -> None:
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    missing = [test for *_, name, test in ROWS if name == file and f"def {test}(" not in text]
    assert not missing
