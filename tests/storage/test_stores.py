"""A store at an address of fsspec: whole files, and what is said where one is absent, cut or unreachable."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.storage.files import sha256_of
from core.storage.stores import IncompleteError, Store


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    kind = request.param
    return Store(f"file://{tmp_path}/bucket/" if kind == "file" else f"memory://{tmp_path.name}")


def test_files_go_in_and_come_out(store: Store, tmp_path: Path) -> None:
    path, back = tmp_path / "weights", tmp_path / "deep" / "copy"
    path.write_bytes(b"weights" * 100)
    store.put(path, "a/b/weights")
    store.put_bytes(b"", "a/empty")
    store.put_json({"ä": [1, None]}, "a/list.json")
    assert store.size("a/b/weights") == 700 and store.size("a/nothing") is None
    store.get("a/b/weights", back, sha256_of(path))
    assert back.read_bytes() == path.read_bytes()
    assert store.get_json("a/list.json") == {"ä": [1, None]} and store.get_bytes("a/empty") == b""
    assert store.names("a") == ["b", "empty", "list.json"] and store.names("nowhere") == []
    store.delete("a/empty")
    store.delete("a/empty")
    assert store.names("a") == ["b", "list.json"]


def test_what_is_absent_cut_or_another_file_is_not_taken(store: Store, tmp_path: Path) -> None:
    store.put_bytes(b'{"push": 1, "files"', "half.json")
    for name in ("half.json", "absent.json"):
        with pytest.raises(IncompleteError):
            store.get_json(name)
    with pytest.raises(IncompleteError):
        store.get("half.json", tmp_path / "out", "0" * 64)
    with pytest.raises(IncompleteError):
        store.get("absent", tmp_path / "other", "0" * 64)


def test_an_unknown_address_is_reported() -> None:
    with pytest.raises(UserError, match=r"quux://x: Protocol not known: quux.* Write s3://"):
        Store("quux://x")


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def absent(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(UserError, match=r"s3://b/f: Install s3fs to access S3. Give every node"):
        Store("s3://b/f")


def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in-the-way").touch()
    store = Store(f"file://{tmp_path}/in-the-way")
    with pytest.raises(UserError, match=r"The store file://.* does not answer as it should \(.+\)\. Check"):
        store.put_bytes(b"x", "name")
    with pytest.raises(FileNotFoundError):
        store.put(tmp_path / "absent", "name")
