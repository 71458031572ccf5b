"""What is no file is not waited for, and text is read as people save it."""

import os
from pathlib import Path

import pytest

from core.curation.flags import import_flags
from core.errors import UserError
from core.exchange.import_scores import import_results
from core.plain_files import file_stamp, open_plain, read_text
from core.storage.files import read_json, read_records, sha256_of
from core.storage.schemas import PAIRS, read_table


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_no_reader_waits_for_a_pipe(pipe: Path, tmp_path: Path) -> None:
    readers = [
        open_plain,
        read_text,
        read_json,
        read_records,
        sha256_of,
        lambda path: read_table(path, PAIRS),
        lambda path: import_results(tmp_path, path, "theirs"),
        lambda path: import_flags(tmp_path, path),
    ]
    for reader in readers:
        with pytest.raises(UserError, match=r"pipe is a pipe or a device. Put a file in its place"):
            reader(pipe)
    with pytest.raises(UserError, match="is a pipe or a device"):
        open_plain(Path("/dev/zero"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_as_editors_save_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "spec.yaml").write_bytes("name: naïve\r\nseeds: [1]\r\n".encode(encoding))
    assert read_text(tmp_path / "spec.yaml") == "name: naïve\nseeds: [1]\n"


def test_what_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(UserError, match=r"is no text in UTF-8 \(invalid start byte\). Save it as UTF-8"):
        read_text(tmp_path / "spec.yaml")
    for encoding in ("utf-16-le", "utf-32"):
        (tmp_path / "spec.yaml").write_bytes("name: x".encode(encoding))
        with pytest.raises(UserError, match=r"is no text in UTF-8 \(it holds zeros\). Save it as UTF-8"):
            read_text(tmp_path / "spec.yaml")
    with pytest.raises(UserError, match=r"can't be read \(Is a directory\)"):
        read_text(tmp_path)


def test_what_is_gone_has_an_empty_stamp(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "there").write_text("12345")
    stamps = [file_stamp(tmp_path / name) for name in ("nowhere", "loop", "gone")]
    assert stamps == [(0, 0)] * 3
    assert file_stamp(tmp_path / "there")[1] == 5
