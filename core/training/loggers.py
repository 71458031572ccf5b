"""Progress for TensorBoard and Weights & Biases, written by these libraries themselves; off by default.

Both are told the same numbers as `progress.jsonl`, beside which TensorBoard's files lie. A library that
is not installed is one sentence, before anything is trained.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from core.errors import UserError

Logger = Literal["tensorboard", "wandb"]
Report = Callable[[dict[str, Any]], None]

_NOT_LOGGED = {"step", "total"}


@contextmanager
def logging_to(loggers: tuple[Logger, ...], folder: Path, settings: dict[str, Any]) -> Iterator[Report]:
    """A report that hands each record's numbers to the loggers, which are closed at the end.

    `folder` is the run's, whose names say what the run is. Raises `UserError` where a library is missing.
    """
    with ExitStack() as stack:
        writers = [stack.enter_context(_WRITERS[name](folder, settings)) for name in loggers]

        def report(record: dict[str, Any]) -> None:
            numbers = {
                name: value
                for name, value in record.items()
                if name not in _NOT_LOGGED and isinstance(value, int | float)
            }
            for write in writers:
                write(int(record["step"]), numbers)

        yield report


Write = Callable[[int, dict[str, Any]], None]


@contextmanager
def _tensorboard(folder: Path, _settings: dict[str, Any]) -> Iterator[Write]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as problem:
        raise _missing("tensorboard") from problem
    with SummaryWriter(str(folder / "tensorboard")) as writer:

        def write(step: int, numbers: dict[str, Any]) -> None:
            for name, value in numbers.items():
                writer.add_scalar(name, value, step)

        yield write


@contextmanager
def _wandb(folder: Path, settings: dict[str, Any]) -> Iterator[Write]:
    try:
        import wandb
    except ImportError as problem:
        raise _missing("wandb") from problem
    experiment, variant, seed = folder.parts[-3:]
    folder.mkdir(parents=True, exist_ok=True)
    run = wandb.init(
        project="arc-workbench",
        group=experiment,
        name=f"{variant} {seed}",
        config=settings,
        dir=str(folder),
    )
    try:
        yield lambda step, numbers: run.log(numbers, step=step)
    finally:
        run.finish()


_WRITERS = {"tensorboard": _tensorboard, "wandb": _wandb}


def _missing(library: str) -> UserError:
    return UserError(
        f"{library} is not installed. Install it (pip install {library}), or take it out of training.log_to."
    )
