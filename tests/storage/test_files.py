"""Whole files or none, and lines that survive crashes, rivals and a full disk."""

import errno
import json
import logging
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.plain_files import MOST_BYTES, read_text
from core.storage import files
from core.storage.files import (
    append_record,
    append_records,
    fingerprint,
    locked,
    read_json,
    read_records,
    read_records_from,
    sha256_of,
    write_json,
    write_text,
    writing,
)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), writing(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
        raise RuntimeError
    assert path.read_text(encoding="utf-8") == "old"
    assert list(path.parent.iterdir()) == [path]


def _begin(path: Path) -> None:
    """Begin to write a file and a folder, and die."""
    with writing(path / "file.txt") as temporary:
        temporary.touch()
        with writing(path / "folder") as folder:
            (folder / "inner").mkdir(parents=True)
            os.kill(os.getpid(), signal.SIGKILL)


def test_no_file_takes_the_place_of_a_device_or_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in (lambda: write_text(pipe, "text"), lambda: write_json(pipe, {})):
        with pytest.raises(UserError, match="is a device or a pipe, not a file"):
            write()
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]


def test_what_a_killed_process_left_is_removed_by_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = multiprocessing.get_context("fork").Process(target=_begin, args=(tmp_path,))
    killed.start()
    killed.join()
    assert len(list(tmp_path.glob(".*.tmp"))) == 2
    living = tmp_path / f".file.txt.{os.getppid()}.0a1b2c3d.tmp"
    another = tmp_path / f".file.txt.more.{killed.pid}.0a1b2c3d.tmp"
    living.touch()
    another.touch()
    write_text(tmp_path / "file.txt", "new")
    assert len(list(tmp_path.glob(".*.tmp"))) == 4, "young: another machine may be at work"
    monkeypatch.setattr(files, "SECONDS_UNTIL_ABANDONED", -1.0)
    write_text(tmp_path / "file.txt", "new")
    with writing(tmp_path / "folder") as temporary:
        temporary.mkdir()
    assert {path.name for path in tmp_path.iterdir()} == {living.name, another.name, "file.txt", "folder"}


def test_a_folder_that_another_process_removes_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever made a folder for a write that failed removes it where it is empty."""
    path, write, removed = tmp_path / "deep" / "file.txt", Path.write_text, []

    def remove_first(self: Path, *arguments: Any, **options: Any) -> int:
        if not removed:
            removed.append(self.parent.rmdir())
        return write(self, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", remove_first)
    write_text(path, "new")
    assert removed and path.read_text(encoding="utf-8") == "new"


def test_what_is_too_large_to_be_taken_in_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    path.touch()
    os.truncate(path, MOST_BYTES + 1)  # takes no room
    for read in (read_json, read_records, read_text):
        with pytest.raises(UserError, match=r"is larger than 1,024 MB\. Restore it or delete it\."):
            read(path)


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for text in ("old", "new"):
        with writing(path) as temporary:
            temporary.mkdir()
            (temporary / "weights").write_text(text, encoding="utf-8")
            (temporary / text).touch()
    assert (path / "weights").read_text(encoding="utf-8") == "new"
    assert not (path / "old").exists()
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    write_json(path, {"a": 1})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_that_does_not_fit_the_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lines.jsonl"
    append_record(path, {"n": 1})
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    with pytest.raises(UserError, match=r"The disk is full: .*lines.jsonl could not be written"):
        append_record(path, {"n": 2})
    monkeypatch.undo()
    append_record(path, {"n": 3})
    assert read_records(path) == [{"n": 1}, {"n": 3}]


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), min_size=1, max_size=5))
def test_lines_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, records: list[dict]) -> None:
    path = tmp_path_factory.mktemp("lines") / "lines.jsonl"
    append_records(path, records)
    assert read_records(path) == records


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_last_line_is_skipped_and_the_next_one_is_whole(
    tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "lines.jsonl"
    append_records(path, [{"n": 1}, {"text": "größer"}])
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    assert read_records(path) == [{"n": 1}]
    with caplog.at_level(logging.WARNING):
        append_record(path, {"n": 3})
    assert "ended in a torn line" in caplog.text
    # Where only the line end was torn off, the record itself is whole and comes back.
    middle = [{"text": "größer"}] if cut == 1 else []
    assert read_records(path) == [{"n": 1}, *middle, {"n": 3}]


def test_reading_on_from_an_offset_sees_each_line_once(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert read_records_from(path, 0) == ([], 0)
    append_record(path, {"n": 1})
    records, offset = read_records_from(path, 0)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"n": 2')
    assert read_records_from(path, offset) == ([], offset)
    with path.open("a", encoding="utf-8") as file:
        file.write("}\n")
    later, _ = read_records_from(path, offset)
    assert records + later == [{"n": 1}, {"n": 2}]


def _append_many(path: Path, writer: int, count: int) -> None:
    for number in range(count):
        append_record(path, {"writer": writer, "number": number, "padding": "x" * (number % 50)})


def test_two_processes_append_without_losing_a_line(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_append_many, args=(path, writer, 300)) for writer in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    records = read_records(path)
    for writer in range(2):
        assert [r["number"] for r in records if r["writer"] == writer] == list(range(300))
    assert len(records) == 600


def test_a_lock_is_held_by_one_and_freed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, wait=False) as held:
        assert held
        with locked(path, wait=False) as again:
            assert not again
    with locked(path, wait=False) as held:
        assert held


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000, "\udcff"])
def test_a_broken_json_file_is_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"record\.json is (no valid JSON|empty|no text in UTF-8)"):
        read_json(path)
    with pytest.raises(UserError, match=r"absent.json does not exist"):
        read_json(tmp_path / "absent.json")


def test_checksums_and_fingerprints(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint(json.loads('{"b": [2], "a": 1}'))
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
