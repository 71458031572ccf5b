"""What the deck sends becomes flags exactly once, whatever a browser sends and whenever a server dies."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.arc.tasks import Pair, Task
from core.curation import flags
from core.curation.agreement import SECOND_PASS
from core.curation.flags import all_flags
from core.curation.stored import SourceInfo, store_source
from dashboard.components import deck_actions
from dashboard.components.deck_actions import Ledger, person_note

NONCE = "0a1b2c3d"
IDS = ("aa", "bb", "cc")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    grid = np.ones((2, 2), dtype=np.uint8)
    tasks = [Task(name, "tiny", name, (Pair(grid, grid),), (Pair(grid, grid),)) for name in IDS]
    store_source(tmp_path, SourceInfo("tiny", "test", "1", "none", "0" * 64), tasks)
    return tmp_path


def box(*values: str, first: int = 1) -> dict[str, list[Any]]:
    return {
        NONCE: [
            [number, "flag", "tiny", IDS[number % 3], value] for number, value in enumerate(values, first)
        ]
    }


def written(root: Path) -> list[str]:
    return [mark["value"] for mark in flags.all_flags(root)]


def test_actions_become_flags_in_their_order(root: Path) -> None:
    receipt = Ledger(root).receive(box("yes", "no", "unsure"), "ada")
    assert receipt.acknowledged == {NONCE: 3}
    assert receipt.problem is None
    assert [(mark["task_id"], mark["value"], mark["by"]) for mark in flags.all_flags(root)] == [
        ("bb", "yes", "ada"),
        ("cc", "no", "ada"),
        ("aa", "unsure", "ada"),
    ]


def test_what_arrives_twice_is_written_once(root: Path) -> None:
    ledger = Ledger(root)
    ledger.receive(box("yes", "no"), "ada")
    assert ledger.receive(box("yes", "no", "unsure"), "ada").acknowledged == {NONCE: 3}
    assert written(root) == ["yes", "no", "unsure"]


def test_a_server_that_died_before_it_answered_writes_nothing_again(root: Path) -> None:
    Ledger(root).receive(box("yes", "no"), "ada")
    assert Ledger(root).receive(box("yes", "no", "unsure"), "ada").acknowledged == {NONCE: 3}
    assert written(root) == ["yes", "no", "unsure"]


def test_pages_do_not_share_their_numbers(root: Path) -> None:
    ledger = Ledger(root)
    ledger.receive(box("yes"), "ada")
    ledger.receive({"ffff": box("no")[NONCE]}, "bob")
    assert written(root) == ["yes", "no"]


def test_a_full_disk_acknowledges_nothing_and_the_next_try_writes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    page = Ledger(root)
    with monkeypatch.context() as patch:
        patch.setattr(deck_actions, "add_flags", full)
        receipt = page.receive(box("yes"), "ada")
    assert receipt.acknowledged == {}
    assert receipt.problem is not None
    assert (
        receipt.problem.startswith("Not saved yet: ")
        and "The disk is full. Free some space" in receipt.problem
    )
    assert page.receive(box("yes"), "ada").acknowledged == {NONCE: 1}
    assert written(root) == ["yes"]


def test_a_task_that_is_gone_is_named_and_does_not_hold_up_the_others(root: Path) -> None:
    actions = [
        [1, "flag", "tiny", "zz", "yes"],
        [2, "flag", "gone", "aa", "yes"],
        [3, "flag", "tiny", "aa", "no"],
    ]
    receipt = Ledger(root).receive({NONCE: actions}, "ada")
    assert receipt.acknowledged == {NONCE: 3}
    assert receipt.problem is not None
    assert "zz" in receipt.problem
    assert written(root) == ["no"]


def test_a_kind_a_note_and_a_second_pass_arrive_once(root: Path) -> None:
    actions = [[1, "flag", "tiny", "aa", "yes", "hard", "mirror?", True], [2, "flag", "tiny", "aa", "no"]]
    for _ in range(2):
        assert Ledger(root).receive({NONCE: actions}, "ada").acknowledged == {NONCE: 2}
    first, second = all_flags(root)
    assert (first["flag"], person_note(first["note"])) == ("hard", "mirror?")
    assert first["note"].startswith(SECOND_PASS) and person_note(second["note"]) == ""


nonsense = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=6) | st.dictionaries(st.text(max_size=5), parts, max_size=3),
    max_leaves=20,
)


@given(nonsense | st.dictionaries(st.just(NONCE), nonsense))
def test_nonsense_is_left_out(boxes: Any) -> None:
    receipt = Ledger(Path("nowhere")).receive(boxes, "ada")
    assert set(receipt.acknowledged.values()) <= {0}
    assert receipt.problem is None


@pytest.mark.parametrize(
    "action",
    [
        [0, "flag", "tiny", "aa", "yes"],
        [True, "flag", "tiny", "aa", "yes"],
        [1, "delete", "tiny", "aa", "yes"],
        [1, "flag", "tiny", "aa", "maybe"],
        [1, "flag", "tiny", "a" * 501, "yes"],
        [1, "flag", "tiny", "aa"],
        [1, "flag", "tiny", "aa", "yes", "../x"],
        [1, "flag", "tiny", "aa", "yes", "hard", "", "true"],
    ],
)
def test_a_malformed_action_is_left_out(root: Path, action: list[Any]) -> None:
    Ledger(root).receive({NONCE: [action]}, "ada")
    assert written(root) == []
