"""The set-up on a machine with a GPU: what it needs, and what it names as missing."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.set_up import failures, gpu, machine, open_lock, progress, script, scripted_pip, setup

lock = pytest.fixture(open_lock)


def test_versions_are_read_from_the_last_line_and_a_gpu_must_be_seen(tmp_path: Path, lock: int) -> None:
    seen = json.dumps({"parts": {"torch": "2.13.0"}, "cuda": False})
    pip = scripted_pip(tmp_path, lock, f"echo some warning; echo '{seen}'")
    nobody = progress.Progress(5, io.StringIO())
    assert setup.see_it_work(pip, nobody, has_gpu=False) == {"torch": "2.13.0"}
    with pytest.raises(failures.SetupError, match="torch does not see the GPU"):
        setup.see_it_work(pip, nobody, has_gpu=True)


def _card(folder: Path, line: str, monkeypatch: pytest.MonkeyPatch, *tools: str) -> None:
    """A machine whose driver lists one GPU, with these tools on its PATH and a new C library."""
    script(folder / "nvidia-smi", f"echo '{line}'")
    for tool in tools:
        script(folder / tool, "exit 0")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(gpu.platform, "libc_ver", lambda: ("glibc", "2.36"))


def _with_headers(folder: Path, *, headers: bool = True) -> Any:
    """A Python whose headers lie in a folder, or don't."""
    include = folder / "include"
    include.mkdir(parents=True)
    if headers:
        (include / "Python.h").touch()
    return machine.Python(str(script(folder / "python3.11", f"echo {include}")), (3, 11, 9), True)


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
