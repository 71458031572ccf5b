"""Installing the environment: packages, stamps, the lock, and what a broken beginning leaves."""

import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.set_up import (
    ROOT,
    environment,
    failures,
    installing,
    machine,
    open_lock,
    progress,
    script,
    scripted_pip,
)

lock = pytest.fixture(open_lock)


TORCH = "torch==2.13.0+cpu"


def test_torch_comes_from_the_configured_packages_where_they_have_it(tmp_path: Path, lock: int) -> None:
    pip = scripted_pip(tmp_path, lock, "exit 0")
    assert installing.install_cpu_torch(TORCH, pip) == "from the configured packages"
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert "--index-url" not in call and "--no-compile" in call


def test_torch_falls_back_to_its_own_index_only_where_it_is_not_configured(tmp_path: Path, lock: int) -> None:
    no_match = "echo 'ERROR: No matching distribution found for torch==2.13.0+cpu'; exit 1"
    pip = scripted_pip(tmp_path / "a", lock, f'case "$*" in *--index-url=*) exit 0;; esac; {no_match}')
    assert installing.install_cpu_torch(TORCH, pip) == f"from {installing.PYTORCH_CPU_INDEX}"
    assert len((tmp_path / "a/calls").read_text().splitlines()) == 2
    with pytest.raises(
        failures.SetupError, match="is not in the packages that pip is configured with, and could"
    ):
        installing.install_cpu_torch(TORCH, scripted_pip(tmp_path / "b", lock, no_match))
    with pytest.raises(failures.SetupError, match="The disk filled up"):
        installing.install_cpu_torch(TORCH, scripted_pip(tmp_path / "c", lock, "echo '[Errno 28]'; exit 1"))
    assert len((tmp_path / "c/calls").read_text().splitlines()) == 1


def test_libraries_are_compiled_even_where_python_must_not_write(
    tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    there = environment.Environment(tmp_path / "venv")
    there.python.parent.mkdir(parents=True)
    there.python.symlink_to(sys.executable)
    packages = there.folder / "lib/python/site-packages"
    for name, text in (("good/a.py", "x = 1"), ("good/tests/b.py", "x = 1"), ("newer/c.py", "def (")):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(text, encoding="utf-8")
    shown = io.StringIO()
    pip = installing.Pip(there, progress.Progress(6, shown), lock)
    installing.compile_ahead(there.folder / "lib", pip, progress.Progress(6, shown))
    assert [path.parent.parent.name for path in packages.rglob("*.pyc")] == ["good"]
    assert "done" in shown.getvalue() and "SyntaxError" not in shown.getvalue()
    assert "SyntaxError" not in there.log.read_text(encoding="utf-8")


def _made(folder: Path, python: str = "Python 3.11.7") -> Any:
    there = environment.Environment(folder)
    there.claim()
    script(there.python, f"echo {python}\n")
    return there


def _requirements(root: Path) -> None:
    for name in ("requirements.txt", "requirements-cpu.txt", "requirements-gpu.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)


def test_complete_holds_until_a_requirement_the_engine_or_the_python_changes(tmp_path: Path) -> None:
    _requirements(tmp_path)
    there = _made(tmp_path / ".venv")
    stamp = environment.stamp_of(tmp_path, "cpu")
    assert not there.is_complete(stamp)
    there.complete(stamp, "3.11.7")
    assert there.is_complete(environment.stamp_of(tmp_path, "cpu"))
    assert not there.is_complete(environment.stamp_of(tmp_path, "gpu"))
    script(there.python, "echo Python 3.12.1\n")
    assert not there.is_complete(stamp)
    script(there.python, "echo Python 3.11.7\n")
    with (tmp_path / "requirements.txt").open("a") as file:
        file.write("one-more==1.0\n")
    assert not there.is_complete(environment.stamp_of(tmp_path, "cpu"))
    there.python.unlink()
    assert not there.is_complete(stamp)


def test_a_torn_stamp_is_no_stamp(tmp_path: Path) -> None:
    _requirements(tmp_path)
    there = _made(tmp_path / ".venv")
    stamp = environment.stamp_of(tmp_path, "cpu")
    there.complete(stamp, "3.11.7")
    (there.folder / "setup-complete.json").write_text('{"engine": "cp')
    assert not there.is_complete(stamp)


def test_an_environment_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / ".venv"
    folder.mkdir()
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    with pytest.raises(failures.SetupError, match=r"was not made by this set-up\. Move it away or delete it"):
        environment.Environment(folder).claim()
    assert [path.name for path in folder.iterdir()] == ["pyvenv.cfg"]


def test_another_engine_or_a_torn_beginning_makes_it_anew_and_the_same_goes_on(tmp_path: Path) -> None:
    maker = script(
        tmp_path / "python", 'mkdir -p "$3/bin" && echo made >> "$3/../log" && touch "$3/bin/python"\n'
    )
    python = machine.Python(str(maker), (3, 11, 7), True)
    there = environment.Environment(tmp_path / ".venv")
    there.claim()
    there.make(python, "cpu")
    (there.folder / "installed").touch()
    there.complete({"engine": "cpu"}, "3.11.7")
    there.make(python, "cpu")
    assert (there.folder / "installed").exists()
    assert not there.is_complete({"engine": "cpu"}), "an installation that has begun is not complete"
    there.make(python, "gpu")
    assert not (there.folder / "installed").exists()
    (there.folder / "setup-began.json").write_text(
        '{"engine": "gpu", "python": "python3.11", "whole": false}'
    )
    there.make(python, "gpu")
    assert (tmp_path / "log").read_text() == "made\n" * 3


def test_a_venv_that_fails_says_which_command(tmp_path: Path) -> None:
    python = machine.Python(str(script(tmp_path / "python", "echo no ensurepip; exit 1\n")), (3, 11, 7), True)
    there = environment.Environment(tmp_path / ".venv")
    there.claim()
    with pytest.raises(failures.SetupError, match=r"-m venv .* failed: no ensurepip"):
        there.make(python, "cpu")


def test_half_installed_packages_are_swept_away_and_whole_ones_stay(tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.11/site-packages"
    for name, whole in (("numpy-2.3", True), ("pyarrow-26.0", False)):
        info = packages / f"{name}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").touch()
        if whole:
            (info / "INSTALLER").write_text("pip\n")
    (packages / "~andas").mkdir()
    assert environment.sweep(tmp_path) == 2
    assert [path.name for path in packages.iterdir()] == ["numpy-2.3.dist-info"]


def test_the_lock_outlives_a_killed_set_up_until_its_child_ends(tmp_path: Path) -> None:
    there = environment.Environment(tmp_path)
    with there.locked() as lock:
        child = subprocess.Popen(["sleep", "30"], pass_fds=[lock])
    probe = f"import fcntl; fcntl.flock(open({str(there.lock)!r}, 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    held = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    child.kill()
    child.wait()
    assert "BlockingIOError" in held.stderr
    assert subprocess.run([sys.executable, "-c", probe]).returncode == 0
