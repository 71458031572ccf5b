"""A training that kills itself: `python -m tests.training.killed BASE FOLDER STEP THREADS SETTINGS`."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from core.prompts.templates import PromptSettings
from core.training.train import Training, train
from tests.training.conftest import tiny_settings, toy_mixture


def main(base: str, folder: str, step: str, threads: str, settings: str) -> None:
    import torch

    torch.set_num_threads(int(threads))

    def report(record: dict[str, Any]) -> None:
        print(json.dumps([record["step"], record["loss"]]), flush=True)
        if record["step"] == int(step):
            os.kill(os.getpid(), signal.SIGKILL)

    training = Training(tiny_settings(**json.loads(settings)), PromptSettings(), toy_mixture(), base, 0)
    train(training, Path(folder), report)


if __name__ == "__main__":
    main(*sys.argv[1:])
