"""The live objects of a training, and what is done with them: a step, a validation, saving.

What a step draws and what is random in it depends on seed and step alone.
"""

import logging
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserError
from core.machine.allocator import keep_freed_memory, release_memory
from core.mixing.held_out import Questions
from core.mixing.mixtures import Mixture
from core.modeling.model_shrinking import carry_mapping
from core.parallel.ranks import Workers
from core.prompts.templates import PromptSettings, keep_prompt
from core.seeds import derived_seed
from core.storage.files import writing
from core.storage.models import is_out_of_memory, seal
from core.training.base_model import load_base
from core.training.batches import MULTIPLE, Batch, Drawing, StepBatches
from core.training.checkpoints import Position
from core.training.efficiency import memory_bytes, operations, peak_of
from core.training.forward import Reader
from core.training.gradients import Gradients
from core.training.models import initial_factors, save_adapter
from core.training.numerics import Numerics
from core.training.optimizers import Optimizers, make_optimizers, one_thread
from core.training.row_size import row_that_fits
from core.training.schedules import learning_rate_at, learning_rate_in_time
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)

# A core draws and tokenizes about 500,000 tokens a second; a GPU trains small models with more.
_DRAWERS = {"cpu": 0, "cuda": 4}


class NothingFitsError(UserError):
    """No sample of a step has at most `max_seq_len` tokens."""


@dataclass(frozen=True)
class Training:
    """Everything one training is made of; `base` is a model folder or a hub name."""

    settings: TrainingSettings
    prompt: PromptSettings
    mixture: Mixture
    base: str
    seed: int
    questions: Questions = field(default_factory=Questions)
    numerics: Numerics | None = None
    """How it was computed before, where the same shall come of it; as usual here where that is None."""


@dataclass
class Loop:
    """The live objects of a training."""

    training: Training
    numerics: Numerics
    tokenizer: "PreTrainedTokenizerBase"
    drawing: Drawing
    model: Any
    trained: dict[str, "torch.nn.Parameter"]
    initial: "dict[str, torch.Tensor] | None"
    optimizer: Optimizers
    gradients: Gradients
    workers: Workers
    validation: dict[str, list[Batch]]
    remarks: dict[str, Any]
    """What to record of the training besides its numerics."""

    @classmethod
    def start(
        cls, training: Training, workers: Workers = Workers(), numerics: Numerics | None = None
    ) -> "Loop":
        """Load the model and make everything ready; computed as `numerics` say, else as usual here."""
        known, settings = numerics is not None, training.settings
        numerics = numerics or Numerics.here(settings, workers.count)
        device = numerics.kind
        keep_freed_memory()
        task_ids = [task.task_id for members in training.mixture.tasks.values() for task in members]
        base = load_base(training.base, settings, training.prompt, numerics, task_ids, training.seed)
        model, compiled = base.model, settings.compile and base.packed
        trained = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
        reader = Reader.of(
            model,
            device,
            lower=numerics.precision == "bfloat16",
            compiled=settings.max_seq_len if compiled else None,
        )
        drawing = Drawing(
            training.mixture,
            training.prompt,
            settings,
            base.tokenizer,
            numerics.tokens_per_batch,
            base.packed,
            MULTIPLE if device == "cpu" else 1,
            numerics.side_by_side,
            fixed=compiled,
        )
        loop = cls(
            training,
            numerics,
            base.tokenizer,
            drawing,
            model,
            trained,
            initial_factors(model, settings),
            make_optimizers(trained, settings),
            Gradients.of(model, reader, device, torchs_stream=settings.recompute or settings.compile),
            workers,
            {},
            base.remarks,
        )
        if device == "cuda" and settings.tokens_per_batch is None and not known:
            measured = replace(loop.gradients, read=reader.uncompiled)
            loop.set_row(row_that_fits(loop.drawing, measured, loop.trained, workers))
        processes = _DRAWERS[device] if settings.draw_processes is None else settings.draw_processes
        loop.drawing = loop.drawing.ahead(processes, workers, beside=device == "cuda")
        loop.validation = _validation_batches(training, loop.drawing)
        return loop

    def set_row(self, tokens: int) -> None:
        """Let batches hold at most so many tokens from now on."""
        self.numerics = replace(self.numerics, tokens_per_batch=tokens)
        self.drawing = self.drawing.with_rows_of(tokens)
        if self.validation:
            self.validation = _validation_batches(self.training, self.drawing)

    def step(self, position: Position) -> tuple[dict[str, Any], Position]:
        """One optimizer step on the samples that belong to it; its record and where the next begins. A budget
        of seconds counts as the position says; whoever keeps time sets it anew."""
        import torch

        settings, step = self.training.settings, position.steps
        begin = time.monotonic()
        if settings.seconds is None:
            rate = learning_rate_at(step, settings)
        else:
            rate = learning_rate_in_time(position.seconds, position.seconds / max(1, step), settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        drawn, loss = self._add_gradients(position)
        self.workers.add_gradients(self.trained.values())
        if not math.isfinite(loss):
            raise UserError(f"The loss of step {step + 1} is {loss}. Lower training.learning_rate.")
        with one_thread():
            norm = float(torch.nn.utils.clip_grad_norm_(self.trained.values(), settings.clip_norm))
            if not math.isfinite(norm):  # the step would turn every weight, and the next checkpoint, into NaN
                raise UserError(f"The gradient of step {step + 1} is {norm}. Lower training.learning_rate.")
            self.optimizer.step()
        self.optimizer.zero_grad()
        useful = sum(batch.useful_tokens for batch in drawn.batches)
        seconds = time.monotonic() - begin
        record = {
            "step": step + 1,
            "total": settings.steps if settings.seconds is None else None,
            "loss": loss,
            "learning_rate": rate,
            "tokens": useful,
            "tokens_per_second": useful / seconds,
            "tokens_per_batch": self.numerics.tokens_per_batch,
            "mfu": self._share_of_peak(drawn.batches, seconds),
            "memory_bytes": memory_bytes(self.numerics.kind),
            "dropped": drawn.dropped,
            "shortened": drawn.shortened,
        }
        return record, Position(step + 1, drawn.next_sample, position.seconds + seconds)

    def _add_gradients(self, position: Position) -> tuple[StepBatches, float]:
        """Add up the gradients of a step; its batches and its loss. Where memory ends, in any of the
        processes, all begin the step anew with rows of half the size."""
        seed = derived_seed(self.training.seed, "step", position.steps)
        while True:
            drawn = self.drawing.step(position.next_sample)
            answer_tokens = sum(batch.answer_tokens for batch in drawn.batches)
            if not answer_tokens:
                count = drawn.next_sample - position.next_sample
                raise NothingFitsError(
                    f"None of the {count} samples of step {position.steps + 1} fits"
                    f" max_seq_len {self.training.settings.max_seq_len}. Raise it, or choose smaller tasks"
                    " with max_cells."
                )
            share = self.workers.share(list(enumerate(drawn.batches)))
            ended: Exception | None = None
            loss = 0.0
            try:
                loss = float(self.gradients.add(share, answer_tokens, seed))
            except (RuntimeError, MemoryError) as problem:
                if not is_out_of_memory(problem):
                    raise
                problem.__traceback__ = None  # its frames hold the activations that did not fit
                ended = problem
            loss, endings = self.workers.add(loss), self.workers.add(float(ended is not None))
            if not endings:
                return drawn, loss
            self._halve_rows(drawn, ended)

    def _halve_rows(self, drawn: StepBatches, ended: Exception | None) -> None:
        """Forget what the step has added, and halve its rows. Raises the error of memory where a row holds a
        single sample already."""
        longest = max(max(batch.lengths) for batch in drawn.batches)
        before = self.numerics.tokens_per_batch
        self.optimizer.zero_grad()
        if before <= longest:
            raise ended or MemoryError()
        release_memory()
        self.set_row(max(longest, before // 2))
        log.warning(
            "Memory ended at %d tokens per batch; the step is done anew with %d.",
            before,
            self.numerics.tokens_per_batch,
        )

    def _share_of_peak(self, batches: list[Batch], seconds: float) -> float | None:
        """Arithmetic of a step over what the devices could do in its time (MFU); None where unknown."""
        peak = peak_of(self.numerics.device)
        return (
            None if peak is None else operations(self.model, batches) / (seconds * peak * self.workers.count)
        )

    def validate(self) -> dict[str, float]:
        """Loss and accuracy of greedy answers on the questions; nothing that is trained changes."""
        found: dict[str, float] = {}
        self.model.eval()
        for name, batches in self.validation.items():
            loss, right, answers = self._judge(self.workers.share(batches))
            tokens = sum(batch.answer_tokens for batch in batches)
            found[f"{name}_loss"] = self.workers.add(loss) / tokens
            found[f"{name}_accuracy"] = self.workers.add(right) / self.workers.add(answers)
        self.model.train()
        return found

    def _judge(self, batches: list[Batch]) -> tuple[float, int, int]:
        """Sum of the losses, answers that greedy generation would get right, and all answers."""
        import torch

        total, right, answers = 0.0, 0, 0
        # As inference computes: a GPU in bfloat16 where training does, a CPU in float32.
        read = replace(self.gradients.read, lower=self.gradients.read.lower and self.numerics.kind == "cuda")
        for batch in batches:
            with torch.inference_mode():
                seen = read(batch)
                loss, wrong = seen.judged()
            total += float(loss)
            right += len(batch.lengths) - len(np.unique(seen.samples[wrong.cpu().numpy()]))
            answers += len(batch.lengths)
        return total, right, answers

    def save(self, target: Path) -> None:
        """Leave adapter or model, with the tokenizer, as a whole folder."""
        with writing(target) as temporary:
            if self.training.settings.method == "lora":
                save_adapter(self.model, temporary, self.initial)
            else:
                self.model.config.use_cache = True  # a training goes without, answers do not
                self.model.save_pretrained(temporary)
                self.model.config.use_cache = False
            self.tokenizer.save_pretrained(temporary)
            carry_mapping(self.training.base, temporary)
            keep_prompt(temporary, self.training.prompt)
            seal(temporary)


def _validation_batches(training: Training, drawing: Drawing) -> dict[str, list[Batch]]:
    """The questions of a validation by name. Raises `UserError` where none fits."""
    questions = training.questions
    wanted = {
        "validation": questions.held_out,
        "seen": questions.seen,
        "evaluated": questions.evaluated,
    }
    found = {name: drawing.questions(tasks) for name, tasks in wanted.items() if tasks}
    for batches in found.values():
        if not batches:
            raise UserError(
                f"No validation task fits max_seq_len {training.settings.max_seq_len}. Raise it, or choose"
                " smaller tasks with max_cells."
            )
    return found
