"""A training that kills itself: `python -m tests.training.killed BASE FOLDER STEP THREADS SETTINGS WHEN`.

WHEN "written", the checkpoint of step 6 is whole by then; when "half-written", its sums are still missing.
"""

import json
import os
import signal
import sys
from pathlib import Path
from threading import Event
from typing import Any

from core.prompts.templates import PromptSettings
from core.training import checkpoints
from core.training.train import Training, train
from tests.patience import wait_for
from tests.training.conftest import tiny_settings, toy_mixture


def main(base: str, folder: str, step: str, threads: str, settings: str, when: str) -> None:
    import torch

    torch.set_num_threads(int(threads))
    honest, half_written = checkpoints.sha256_of, Event()

    def sums(path: Path) -> str:
        if when == "half-written" and "step-00000006" in str(path):
            half_written.set()
            Event().wait(600)
        return honest(path)

    checkpoints.sha256_of = sums  # type: ignore[attr-defined]

    def report(record: dict[str, Any]) -> None:
        print(json.dumps([record["step"], record["loss"]]), flush=True)
        if record["step"] == int(step):
            if when == "half-written":
                half_written.wait()
            else:
                wait_for((Path(folder) / "checkpoint" / "step-00000006").exists)
            os.kill(os.getpid(), signal.SIGKILL)

    training = Training(tiny_settings(**json.loads(settings)), PromptSettings(), toy_mixture(), base, 0)
    train(training, Path(folder), report)


if __name__ == "__main__":
    main(*sys.argv[1:])
