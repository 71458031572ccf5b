"""The whole set-up, called by `make setup`: make `.venv`, find a GPU or none, install, see it work.

Standard library only, and safe to repeat: once everything is installed, a second call sees so and does
nothing; an interrupted one goes on. It is steered by two variables, ENGINE (cpu or gpu, instead of what is
found) and PYTHON (the interpreter to use). A person's errors are one sentence, and exit with 2.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environment import Environment, stamp_of
from failures import AGAIN, SetupError, explain_import
from gpu import check_gpu_machine
from installing import Pip, compile_ahead, install_command, install_for_cpu, install_for_gpu
from machine import bytes_in, candidates, check_space, find_engine, find_python
from progress import Progress

ROOT = Path(__file__).resolve().parents[1]
BYTES_NEEDED = {"cpu": 6 * 10**9, "gpu": 16 * 10**9}
STEPS = {"cpu": 6, "gpu": 4}
_REMEDIES = {
    errno.ENOSPC: "The disk is full. Free some space",
    errno.EACCES: "Some files may not be written. Make this folder and its .venv yours",
    errno.EROFS: "The disk is read-only. Clone to a writable one",
}

# One kernel of Triton's: it is compiled with the machine's C compiler against Python's headers.
_LAUNCH_A_KERNEL = """
import torch, triton
import triton.language as tl

@triton.jit
def double(given, found, size: tl.constexpr):
    places = tl.arange(0, size)
    tl.store(found + places, 2 * tl.load(given + places))

given = torch.arange(128, device="cuda", dtype=torch.float32)
found = torch.empty_like(given)
double[(1,)](given, found, 128)
assert torch.equal(found, 2 * given)
"""

# The engine only warns when its compiled part can't be loaded; explain_import reads the warning.
_SEE_IT_WORK = """
import importlib.metadata, json, platform
import torch, vllm, streamlit, duckdb
from vllm.platforms import current_platform
current_platform.import_kernels()
parts = {"Python": platform.python_version(), "torch": torch.__version__, "vLLM": vllm.__version__}
for name in ("transformers", "peft", "streamlit", "duckdb"):
    parts[name] = importlib.metadata.version(name)
print()
print(json.dumps({"parts": parts, "cuda": torch.cuda.is_available()}))
"""


def set_up(root: Path) -> None:
    """Bring `root/.venv` to what the requirements files say. Raises `SetupError`."""
    engine = find_engine(os.environ)
    stamp = stamp_of(root, engine)
    environment = Environment(root / ".venv")
    if environment.is_complete(stamp):
        print(f"Set-up: nothing to do, .venv is complete ({engine.upper()} engine).")
        return
    python = find_python(candidates(os.environ))
    environment.claim()
    with environment.locked() as lock:
        if environment.is_complete(stamp):
            print("Set-up: the other one has done it all.")
            return
        check_space(environment.folder, BYTES_NEEDED[engine])
        cards = check_gpu_machine(os.environ, python) if engine == "gpu" else []
        progress = Progress(STEPS[engine])
        progress.step(
            f"Making .venv with {python.path} for the {engine.upper()} engine; log: {environment.log}"
        )
        environment.make(python, engine)
        progress.done()
        pip = Pip(environment, progress, lock)
        if engine == "gpu":
            install_for_gpu(root, pip, progress)
        else:
            install_for_cpu(root, environment.cache, pip, progress)
        install_command(root, pip)
        compile_ahead(environment.folder / "lib", pip, progress)
        parts = see_it_work(pip, progress, has_gpu=bool(cards))
        environment.complete(stamp, parts["Python"])
    told = ", ".join(f"{name} {version}" for name, version in parts.items())
    size = bytes_in(environment.folder) / 10**9
    print(f"Set-up complete in {progress.seconds:.0f} s, {size:.1f} GB: {told}.", flush=True)


def see_it_work(pip: Pip, progress: Progress, *, has_gpu: bool) -> dict[str, str]:
    """Import the heavy parts, as the workbench will, and launch a kernel where there is a GPU; return their
    versions by name."""
    progress.step("Seeing that it works: importing torch, vLLM, Streamlit and DuckDB")
    code, output = pip.python("-c", _SEE_IT_WORK)
    problem = explain_import(output, pip.log)
    if problem:
        raise SetupError(problem)
    if code != 0:
        reason = (output.strip().splitlines() or ["no reason given"])[-1]
        raise SetupError(f"The installed parts don't import: {reason} Delete .venv, {AGAIN} Log: {pip.log}")
    seen = json.loads(output.strip().splitlines()[-1])
    if has_gpu and not seen["cuda"]:
        raise SetupError(
            "torch does not see the GPU. Update the NVIDIA driver, or use the CPU engine (ENGINE=cpu),"
            " then give the same command again."
        )
    if has_gpu:
        _launch_a_kernel(pip)
    progress.done()
    return dict(seen["parts"])


def _launch_a_kernel(pip: Pip) -> None:
    script = Path(pip.log).with_name("kernel.py")  # Triton reads its source from a file
    script.write_text(_LAUNCH_A_KERNEL, encoding="utf-8")
    code, output = pip.python(str(script))
    script.unlink()
    if code != 0:
        reason = (output.strip().splitlines() or ["no reason given"])[-1]
        raise SetupError(
            f"The GPU runs no kernel that is compiled here: {reason} Install gcc and Python's headers"
            f" (Debian/Ubuntu: sudo apt-get install gcc python3-dev), {AGAIN} Log: {pip.log}"
        )


def main() -> int:
    """Run the set-up; show what a person can mend as one sentence."""
    try:
        set_up(ROOT)
    except SetupError as problem:
        print(f"\nSet-up failed. {problem}", file=sys.stderr)
        return 2
    except OSError as problem:
        remedy = _REMEDIES.get(problem.errno or 0)
        if remedy is None:
            raise
        print(f"\nSet-up failed. {remedy}, {AGAIN} ({problem})", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nSet-up stopped. Give the same command again; it goes on where it stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
