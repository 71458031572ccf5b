"""One training: draw samples, step, report, checkpoint, and leave the trained model in a folder.

Comes in: settings, a mixture, a base model, a seed. Goes out: `adapter/` or `model/` (safetensors),
whose existence means that the training is done, and a report for each step. What is drawn and what is
random depends on seed and step alone, and how it is computed is kept in its checkpoints (`numerics`): on the
machine where it began, a killed training goes on with the losses it would have had, on a CPU bit by bit.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import Stopped, UserError
from core.parallel.ranks import Workers
from core.storage.models import is_out_of_memory
from core.training.checkpoints import CheckpointWriter, Position, Snapshot, latest_checkpoint
from core.training.loggers import logging_to
from core.training.loop import Loop, Training
from core.training.numerics import Numerics, in_one_order
from core.training.settings import TrainingSettings

__all__ = ["Training", "save_as_it_stands", "train", "trained_folder"]

log = logging.getLogger(__name__)

Report = Callable[[dict[str, Any]], None]


def trained_folder(folder: Path, settings: TrainingSettings) -> Path:
    """Where the result of a training lies inside its run folder."""
    return folder / ("adapter" if settings.method == "lora" else "model")


def train(
    training: Training,
    folder: Path,
    report: Report,
    workers: Workers = Workers(),
    note: Report = lambda _: None,
) -> Path:
    """Train, resuming from `folder/checkpoint` where there is one; the folder of the result.

    Before the first step `note` hears how it is computed: the fields of `Numerics`; of an adapter also
    `adapted_share` and `not_adapted`; `differences`, a sentence for each way in which a training that goes on
    is computed unlike before.

    Each step is reported as a record: step (counted from 1), total, loss (mean over counted tokens, nats),
    learning_rate, tokens and tokens_per_second (padding not counted), tokens_per_batch, mfu (share of the
    GPU's peak; None where unknown), memory_bytes, dropped and shortened (samples too long), eta_seconds;
    after some steps also validation_loss and validation_accuracy, and the same for seen and evaluated.
    Raises `UserError` where the loss is no number, memory ends, or no sample fits.
    """
    target = trained_folder(folder, training.settings)
    if target.exists():
        return target
    try:
        if workers.is_first:
            settings = training.settings.model_dump(mode="json")
            with logging_to(training.settings.log_to, folder, settings) as write:
                _train_to(target, training, folder / "checkpoint", _both(write, report), note, workers)
        else:
            _train_to(target, training, folder / "checkpoint", _nobody, _nobody, workers)
    except (RuntimeError, MemoryError) as problem:
        if not is_out_of_memory(problem):
            raise
        raise UserError(
            "The device has too little memory. Lower training.tokens_per_batch or training.max_seq_len,"
            " set training.recompute, or choose a smaller base_model."
        ) from problem
    return target


def save_as_it_stands(training: Training, folder: Path, target: Path) -> int:
    """Leave the model of a training that is not finished in `target`, as `folder/checkpoint` holds it; the
    steps it has made. The training goes on undisturbed.

    Raises `UserError` where there is no checkpoint.
    """
    checkpoint = latest_checkpoint(folder / "checkpoint")
    if checkpoint is None:
        raise UserError("This training has no checkpoint yet. Wait for training.checkpoint_every steps.")
    loop = Loop.start(training, numerics=checkpoint.numerics)
    try:
        checkpoint.restore(loop.trained, loop.optimizer)
        loop.save(target)
    finally:
        loop.drawing.close()
    return checkpoint.position.steps


def _both(first: Report, second: Report) -> Report:
    def report(record: dict[str, Any]) -> None:
        first(record)
        second(record)

    return report


def _nobody(_: dict[str, Any]) -> None:
    """Hears of the steps of a process that is not the first."""


def _train_to(
    target: Path, training: Training, checkpoints: Path, report: Report, note: Report, workers: Workers
) -> None:
    """The steps that are left, and the result in `target`."""
    checkpoint = latest_checkpoint(checkpoints)
    here = Numerics.here(training.settings, workers.count)
    begun = checkpoint.numerics if checkpoint else training.numerics
    numerics, differences = here.going_on_from(begun)
    for sentence in differences:
        log.warning(sentence)
    with numerics.threads_set(), in_one_order(training.settings.deterministic):
        loop = Loop.start(training, workers, numerics if begun else None)
        note({**loop.numerics.record(), **loop.remarks, "differences": differences})
        if checkpoint is not None:
            checkpoint.restore(loop.trained, loop.optimizer)
        workers.wait()  # or the first would save while others still load
        try:
            _step_to_the_end(loop, checkpoint.position if checkpoint else Position(), checkpoints, report)
        finally:
            loop.drawing.close()
        if workers.is_first:
            loop.save(target)
        workers.wait()


def _step_to_the_end(loop: Loop, position: Position, checkpoints: Path, report: Report) -> None:
    """The steps after a position, with reports, validations and checkpoints, which are written then."""
    settings, workers, begun = loop.training.settings, loop.workers, position.steps

    def save() -> None:
        if workers.is_first:
            writer.save(Snapshot.of(position, loop.trained, loop.optimizer, loop.numerics))

    begin, before = time.monotonic(), position.seconds
    steps_left = left(position, settings)
    with CheckpointWriter(checkpoints) as writer:
        while steps_left:
            record, position = loop.step(position)
            done = position.steps
            # Of the first process, so that all end at the same step.
            passed = workers.add(before + time.monotonic() - begin if workers.is_first else 0.0)
            position = replace(position, seconds=passed)
            steps_left = left(position, settings)
            every = settings.validation.every
            if every is not None and (done % every == 0 or not steps_left):
                record |= loop.validate()
            per_step = (time.monotonic() - begin) / (done - begun)
            try:
                report({**record, "total": done + steps_left, "eta_seconds": per_step * steps_left})
            except Stopped:
                save()
                raise
            if done % settings.checkpoint_every == 0 and steps_left:
                save()


def left(position: Position, settings: TrainingSettings) -> int:
    """Steps that are left: so many as the settings say, or as still fit into their seconds, each as long as
    those before it; a first one always."""
    if settings.seconds is None:
        return settings.steps - position.steps
    if not position.steps:
        return 1
    return max(0, round((settings.seconds - position.seconds) / (position.seconds / position.steps)))
