"""Folders, zips and files in the known layouts become sources; what is broken is listed, not fatal."""

import hashlib
import json
import shutil
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.curation.sources import list_sources, load_tasks
from core.curation.stored import parquet_path, source_info
from core.errors import UserError
from core.importing import archives
from core.importing.import_source import import_set, import_upload

GOOD = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_a_folder_keeps_the_good_tasks_and_lists_the_broken(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    write(folder / "good.json", GOOD)
    write(folder / "deeper" / "fine.json", GOOD)
    write(folder / "again" / "good.json", GOOD)
    write(folder / "torn.json", '{"train": [')
    write(folder / "ragged.json", {**GOOD, "train": [{"input": [[1, 2], [3]], "output": [[1]]}]})
    (folder / "link.json").symlink_to("/etc/passwd")
    (info,) = import_set(tmp_path, "mine", str(folder), licence="MIT")
    assert list(load_tasks(tmp_path, "mine")) == ["fine", "good"]
    reasons = {dropped.task_id: dropped.reason for dropped in info.dropped}
    assert set(reasons) == {"torn.json", "ragged", "good", "link.json"}
    assert "row 1 has 1 cells but row 0 has 2" in reasons["ragged"]
    assert list_sources(tmp_path) == [info]
    assert (info.licence, len(info.sha256)) == ("MIT", 64)


def test_kaggle_challenges_meet_their_solutions(tmp_path: Path) -> None:
    asked = {**GOOD, "test": [{"input": [[3]]}, {"input": [[5]]}]}
    challenges = write(tmp_path / "challenges.json", {"a": asked, "b": asked, "c": asked})
    solutions = write(tmp_path / "solutions.json", {"a": [[[7]], [[8]]], "b": [[[7]]]})
    (info,) = import_set(tmp_path, "kaggle", str(challenges), solutions=solutions)
    tasks = load_tasks(tmp_path, "kaggle")
    assert [pair.output.tolist() for pair in tasks["a"].test] == [[[7]], [[8]]]  # type: ignore[union-attr]
    assert [pair.output for pair in tasks["c"].test] == [None, None]
    assert [dropped.task_id for dropped in info.dropped] == ["b"]
    (unsolved,) = import_set(tmp_path, "unsolved", str(challenges))
    assert unsolved.tasks == 3


@pytest.mark.parametrize("zipped", [False, True])
def test_solutions_beside_their_challenges_are_found(tmp_path: Path, zipped: bool) -> None:
    asked = {**GOOD, "test": [{"input": [[3]]}]}
    folder = tmp_path / "kaggle"
    write(folder / "a_training_challenges.json", {"t": asked, "twice": asked})
    write(folder / "a_training_solutions.json", {"t": [[[5]]], "twice": [[[5]], [[6]]]})
    write(folder / "a_test_challenges.json", {"hidden": asked})
    write(folder / "torn_solutions.json", "{")
    origin = Path(shutil.make_archive(str(folder), "zip", folder)) if zipped else folder
    (info,) = import_set(tmp_path, "kaggle", str(origin))
    tasks = load_tasks(tmp_path, "kaggle")
    assert list(tasks) == ["hidden", "t"]
    assert tasks["t"].test[0].output.tolist() == [[5]]  # type: ignore[union-attr]
    assert tasks["hidden"].test[0].output is None
    assert [dropped.task_id for dropped in info.dropped] == ["twice", "torn_solutions.json"]


def test_a_zip_is_read_like_a_folder_and_its_traps_are_listed(tmp_path: Path) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("set/good.json", json.dumps(GOOD))
        opened.writestr("set/readme.txt", "no task")
        opened.writestr("../outside.json", json.dumps(GOOD))
        opened.writestr("/absolute.json", json.dumps(GOOD))
        opened.writestr("set\\..\\back.json", json.dumps(GOOD))
        link = zipfile.ZipInfo("set/link.json")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc/passwd")
        opened.writestr("set/strange.json", json.dumps(GOOD), zipfile.ZIP_LZMA)
        opened.writestr("set/torn.json", json.dumps(GOOD)[:-9])
        opened.writestr("set/rotten.json", b'{"train": [' * 99)
    data = archive.read_bytes()
    place = data.index(b"set/rotten.json") + len("set/rotten.json")
    archive.write_bytes(data[:place] + b"\x00\x01" + data[place + 2 :])
    before = files_outside(tmp_path)
    (info,) = import_set(tmp_path, "mine", str(archive))
    assert list(load_tasks(tmp_path, "mine")) == ["good"]
    reasons = {dropped.task_id: dropped.reason for dropped in info.dropped}
    assert len(reasons) == 7
    assert sum("path leaves the folder" in reason for reason in reasons.values()) == 3
    assert "link" in reasons["set/link.json"]
    assert "compressed in a way" in reasons["set/strange.json"]
    assert "no valid JSON" in reasons["set/torn.json"]
    assert "can't be read" in reasons["set/rotten.json"]
    assert files_outside(tmp_path) == before


def test_a_zip_that_unfolds_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 10_000)
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 50_000)
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("good.json", json.dumps(GOOD))
        opened.writestr("large.json", b" " * 1_000_000)
    (info,) = import_set(tmp_path, "mine", str(archive))
    assert [dropped.task_id for dropped in info.dropped] == ["large.json"]
    # A header that lies about the size.
    data = bytearray(archive.read_bytes())
    size = (1_000_000).to_bytes(4, "little")
    assert data.count(size) >= 2
    archive.write_bytes(data.replace(size, (100).to_bytes(4, "little")))
    (info,) = import_set(tmp_path, "lies", str(archive))
    assert [dropped.task_id for dropped in info.dropped] == ["large.json"]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for number in range(10):
            opened.writestr(f"{number}.json", json.dumps(GOOD) + " " * 9_000)
    with pytest.raises(UserError, match="unfolds into more than"):
        import_set(tmp_path, "many", str(archive))
    assert not parquet_path(tmp_path, "many").exists()


def test_pools_variations_and_lists_of_pairs_are_known_forms(tmp_path: Path) -> None:
    pairs = [{"input": [[n]], "output": [[n, n]]} for n in range(6)]
    value = {
        "pool": {"train": pairs, "n_train": 2},
        "bare": pairs,
        "small": pairs[:2],
        "varied": [GOOD, GOOD],
    }
    (info,) = import_set(tmp_path, "mine", str(write(tmp_path / "tasks.json", value)))
    tasks = load_tasks(tmp_path, "mine")
    assert {key: task.n_train for key, task in tasks.items()} == {
        "pool": 2,
        "bare": 3,
        "small": 1,
        "varied.0": None,
        "varied.1": None,
    }
    assert {task.family for task in tasks.values()} == {"pool", "bare", "small", "varied"}
    assert (info.tasks, info.families, info.pairs) == (5, 4, 6 + 6 + 2 + 4)


@pytest.mark.parametrize(
    ("name", "origin", "sentence"),
    [
        ("nothing", None, "'nothing' is no known set. Known sets: arc1, .* re-arc.*--from"),
        ("mine", "absent", "absent is no file or folder"),
        ("mine", "torn.json", "is no valid JSON"),
        ("mine", "number.json", "'number' holds no task in a layout that is read.*These layouts are read:"),
        ("mine", "bad.json", "Nothing of .* could be imported. 'bad' holds no task in a layout"),
        ("../up", "bad.json", "is no name for a source"),
        ("mine", "empty", "There is no .json file with a task in it"),
        ("arc1", "bad.json", "'arc1' names a set that comes with the installation"),
        ("mine", "torn.zip", "is a damaged zip"),
    ],
)
def test_a_failed_import_gives_its_reason_and_leaves_nothing(
    tmp_path: Path, name: str, origin: str | None, sentence: str
) -> None:
    write(tmp_path / "torn.json", '{"a":')
    write(tmp_path / "number.json", "3")
    write(tmp_path / "bad.json", {"a": {}})
    (tmp_path / "torn.zip").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=sentence):
        import_set(tmp_path, name, origin and str(tmp_path / origin))
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_failed_import_keeps_the_source_that_was_there(root: Path) -> None:
    before = load_tasks(root, "toy")
    with pytest.raises(UserError, match="could be imported"):
        import_set(root, "toy", str(write(root / "bad.json", {"a": {}})))
    assert load_tasks(root, "toy") == before


def test_a_wrong_checksum_of_a_local_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "tasks.json", {"a": GOOD})
    with pytest.raises(UserError, match=r"has the checksum .*, not 00"):
        import_set(tmp_path, "mine", str(path), sha256="00")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert import_set(tmp_path, "mine", str(path), sha256=digest.upper())[0].sha256 == digest


def test_what_somebody_sent_is_imported_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "task1.json"
    data = write(path, GOOD).read_bytes()
    (info,) = import_upload(tmp_path, "mine", "../../etc/task1.json", data, licence="MIT")
    assert list(load_tasks(tmp_path, "mine")) == ["task1"]
    assert (info.tasks, info.licence, info.origin) == (1, "MIT", "uploaded task1.json")
    assert info.sha256 == hashlib.sha256(data).hexdigest()
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", path.parent)
    (info,) = import_upload(tmp_path, "zipped", "set.zip", Path(archive).read_bytes())
    assert list(load_tasks(tmp_path, "zipped")) == ["task1"]
    assert not [one for one in (tmp_path / "data" / ".cache").rglob("*") if one.is_file()]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("mine", b"{", "x.json is no valid JSON"),
        ("mine", b"", "x.json is empty"),
        ("mine", b"PK\x05\x06" + b"\0" * 18, "no .json file with a task"),
        ("../up", b"{}", "is no name for a source"),
        ("arc1", b"{}", "'arc1' names a set that comes with the installation"),
    ],
)
def test_an_unusable_upload_gives_its_reason(tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as raised:
        import_upload(tmp_path, name, "x.json", data)
    assert str(tmp_path) not in str(raised.value)
    assert not [one for one in tmp_path.rglob("*") if one.is_file()]


def test_a_large_upload_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.importing.import_source.MAX_ARCHIVE_BYTES", 10)
    with pytest.raises(UserError, match=r"x\.json is larger than the 10 bytes allowed"):
        import_upload(tmp_path, "mine", "x.json", b" " * 11)


def files_outside(root: Path) -> set[Path]:
    return {path for path in root.parent.rglob("*") if root / "data" not in [path, *path.parents]}


@pytest.mark.parametrize(
    ("name", "tasks", "pairs"), [("concept-arc", 176, 1001), ("mini-arc", 149, 677), ("re-arc", 400, 39_984)]
)
def test_the_public_layouts_are_read(public: Path, name: str, tasks: int, pairs: int) -> None:
    info = source_info(public, name)
    assert (info.tasks, info.pairs, info.dropped) == (tasks, pairs, ())
    assert info.licence in ("MIT", "Apache-2.0")
    if name == "re-arc":
        assert info.n_train["007bbfb7"] == 5
        assert load_tasks(public, "re-arc")["007bbfb7"].family == "007bbfb7"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["train", "test", "input", "output", "n_train", "\ud800", "\x1b[2J", ""]), inner
        )
    ),
    max_leaves=20,
)
good_or_not = json_values | st.just(GOOD) | st.dictionaries(st.text(max_size=4), st.just(GOOD) | json_values)
# zipfile ends a name at its first NUL, and writes none that is empty
names = st.text(max_size=6).filter(lambda name: not name.startswith("\0")) | st.sampled_from(
    ["../../up", "/abs", "a/b", "C:\\x", "..", "a" * 300, "\x1b[2J"]
)


@settings(max_examples=60)
@given(st.lists(st.tuples(names, good_or_not | st.binary(max_size=30)), max_size=4), st.binary(max_size=4))
def test_any_archive_is_a_source_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, Any]], noise: bytes
) -> None:
    """Fuzzed names, JSON and bytes: nothing but `UserError`, and no file outside data/."""
    root = tmp_path_factory.mktemp("fuzz") / "project"
    root.mkdir()
    archive = root / "set.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        warnings.simplefilter("ignore")  # duplicate names are meant
        for name, value in members:
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            opened.writestr(name.encode("utf-8", "replace").decode() + ".json", data)
    if noise:
        data = bytearray(archive.read_bytes())
        place = noise[0] * 7 % max(1, len(data))
        data[place : place + len(noise)] = noise
        archive.write_bytes(data)
    before = files_outside(root)
    try:
        (info,) = import_set(root, "mine", str(archive))
    except UserError as problem:
        assert str(problem)
        assert not (root / "data" / "sources").exists()
    else:
        assert len(load_tasks(root, "mine")) == info.tasks > 0
        assert list_sources(root) == [info]
    assert files_outside(root) == before


@settings(max_examples=60)
@given(good_or_not)
def test_any_json_is_a_source_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    path = write(root / "tasks.json", json.dumps(value))
    try:
        (info,) = import_set(root, "mine", str(path), solutions=path)
    except UserError as problem:
        assert str(problem)
    else:
        assert len(load_tasks(root, "mine")) == info.tasks


@settings(max_examples=60)
@given(st.text(max_size=90), st.binary(max_size=200) | good_or_not.map(json.dumps).map(str.encode))
def test_any_upload_is_a_source_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, file_name: str, data: bytes
) -> None:
    """Whatever name and bytes a browser sends: nothing but `UserError`, and no file outside data/."""
    root = tmp_path_factory.mktemp("fuzz") / "project"
    root.mkdir()
    before = files_outside(root)
    try:
        (info,) = import_upload(root, "mine", file_name, data)
    except UserError as problem:
        assert str(problem)
        assert not (root / "data" / "sources").exists()
    else:
        assert len(load_tasks(root, "mine")) == info.tasks > 0
    assert files_outside(root) == before
    assert not list((root / "data" / ".cache").glob("sent-*"))
