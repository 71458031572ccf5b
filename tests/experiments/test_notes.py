"""A note comes back as it was written, whatever stands in it; a broken head is text."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.experiments.notes import Notes, pin, read_notes, write_notes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "trial"
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text("name: trial\n")
    return tmp_path


@pytest.mark.parametrize(
    "notes",
    [
        Notes(),
        Notes(text="## Conclusion\nIt helps.\n"),
        Notes(tags=("noise", "it's: [odd]"), pinned=True, text="---\nnot a head\n---\n"),
        Notes(pinned=True),
        Notes(text="{vote_2 plain}", numbers={"vote_2 plain": "41.2 ± 0.8 (n = 3): it's"}),
        Notes(text="---\ntags: [a]\n---\nlooks like a head\n"),
    ],
)
def test_a_note_comes_back_as_it_was_written(root: Path, notes: Notes) -> None:
    write_notes(root, "trial", notes)
    assert read_notes(root, "trial") == notes


def test_a_broken_head_is_text(root: Path) -> None:
    text = "---\ntags: [\n---\nbelow\n"
    (root / "runs" / "trial" / "notes.md").write_text(text)
    assert read_notes(root, "trial") == Notes(text=text)


def test_a_pin_keeps_the_note(root: Path) -> None:
    write_notes(root, "trial", Notes(("a",), text="text\n"))
    pin(root, "trial", pinned=True)
    assert read_notes(root, "trial") == Notes(("a",), True, "text\n")
    pin(root, "trial", pinned=False)
    assert read_notes(root, "trial") == Notes(("a",), False, "text\n")


def test_what_is_no_tag_is_a_sentence(root: Path) -> None:
    with pytest.raises(UserError, match="is no tag"):
        write_notes(root, "trial", Notes(("a,b",)))
    with pytest.raises(UserError, match="21 tags"):
        write_notes(root, "trial", Notes(tuple(f"tag {number}" for number in range(21))))
    with pytest.raises(UserError, match="There is no experiment 'other'"):
        read_notes(root, "other")
