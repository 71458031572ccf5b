"""The live objects of a training, and what is done with them: a step, a validation, saving.

What a step draws and what is random in it depends on seed and step alone.
"""

import functools
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.curation.mixtures import Mixture
from core.errors import UserError
from core.machine.allocator import keep_freed_memory
from core.modeling.attention import attend_within_samples
from core.modeling.last_block import shorten_last_block
from core.modeling.shrinking import carry_mapping
from core.prompts.templates import PromptSettings, check_tokenizer, keep_prompt
from core.prompts.vocabulary import load_tokenizer
from core.seeds import derived_seed
from core.storage.files import writing
from core.storage.models import seal
from core.training.batches import IGNORED, MULTIPLE, Batch, Drawing
from core.training.checkpoints import Position
from core.training.efficiency import memory_bytes, operations, peak_of
from core.training.forward import forward
from core.training.models import (
    draws_at_random,
    initial_factors,
    load_for_training,
    save_adapter,
    with_adapter,
)
from core.training.numerics import Numerics
from core.training.optimizers import Optimizers, make_optimizers, one_thread
from core.training.schedules import learning_rate_at
from core.training.settings import TrainingSettings
from core.training.validation import Questions
from core.training.workers import Workers

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

# A core draws and tokenizes about 500,000 tokens a second; a GPU trains small models with more.
_DRAWERS = {"cpu": 0, "cuda": 4}


@dataclass(frozen=True)
class Training:
    """Everything one training is made of; `base` is a model folder or a hub name."""

    settings: TrainingSettings
    prompt: PromptSettings
    mixture: Mixture
    base: str
    seed: int
    questions: Questions = field(default_factory=Questions)


@dataclass
class Loop:
    """The live objects of a training."""

    training: Training
    numerics: Numerics
    device: str
    tokenizer: "PreTrainedTokenizerBase"
    drawing: Drawing
    model: Any
    trained: dict[str, "torch.nn.Parameter"]
    initial: "dict[str, torch.Tensor] | None"
    optimizer: Optimizers
    workers: Workers
    peak: float | None
    validation: dict[str, list[Batch]]

    @classmethod
    def start(
        cls, training: Training, workers: Workers = Workers(), numerics: Numerics | None = None
    ) -> "Loop":
        """Load the model and make everything ready; computed as `numerics` say, else as usual here."""
        numerics = numerics or Numerics.here(training.settings, workers.count)
        device = numerics.kind
        keep_freed_memory()
        settings = training.settings
        tokenizer = load_tokenizer(training.base)
        check_tokenizer(tokenizer, training.prompt)
        model: Any = load_for_training(training.base, settings, device, numerics.weights)
        packed = settings.batching != "padded" and attend_within_samples(model)
        if packed:
            shorten_last_block(model)
        elif settings.batching == "packed":
            raise UserError(
                f"The attention of {type(model).__name__} can't be kept within packed samples."
                " Set training.batching to 'padded'."
            )
        drawing = Drawing(
            training.mixture,
            training.prompt,
            settings,
            tokenizer,
            numerics.tokens_per_batch,
            packed,
            MULTIPLE if device == "cpu" else 1,
            numerics.side_by_side,
        ).ahead(_DRAWERS[device] if settings.draw_processes is None else settings.draw_processes)
        if settings.method == "lora":
            model = with_adapter(model, settings, derived_seed(training.seed, "adapter"))
        if settings.recompute:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
        trained = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
        optimizers = make_optimizers(trained, settings)
        return cls(
            training,
            numerics,
            device,
            tokenizer,
            drawing,
            model,
            trained,
            initial_factors(model, settings),
            optimizers,
            workers,
            peak_of(numerics.device),
            _validation_batches(training, drawing),
        )

    def step(self, position: Position) -> tuple[dict[str, Any], Position]:
        """One optimizer step on the samples that belong to it; its record and where the next begins."""
        import torch

        settings, step = self.training.settings, position.steps
        begin = time.monotonic()
        drawn = self.drawing.step(position.next_sample)
        answer_tokens = sum(batch.answer_tokens for batch in drawn.batches)
        if not answer_tokens:
            count = drawn.next_sample - position.next_sample
            raise UserError(
                f"None of the {count} samples of step {step + 1} fits"
                f" max_seq_len {settings.max_seq_len}. Raise it, or choose smaller tasks with max_cells."
            )
        rate = learning_rate_at(step, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if self.device == "cuda" else []):
            place = (self.workers.rank,) if self.workers.rank else ()
            torch.manual_seed(derived_seed(self.training.seed, "step", step, *place))
            loss = self._backward_all(self.workers.share(drawn.batches), answer_tokens)
        loss = self.workers.add(loss)
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
            "total": settings.steps,
            "loss": loss,
            "learning_rate": rate,
            "tokens_per_second": useful / seconds,
            "mfu": self._share_of_peak(drawn.batches, seconds),
            "memory_bytes": memory_bytes(self.device),
            "dropped": drawn.dropped,
            "shortened": drawn.shortened,
        }
        return record, Position(step + 1, drawn.next_sample)

    def _share_of_peak(self, batches: list[Batch], seconds: float) -> float | None:
        """Arithmetic of a step over what the devices could do in its time (MFU); None where unknown."""
        if self.peak is None:
            return None
        return operations(self.model, batches) / (seconds * self.peak * self.workers.count)

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
        for batch in batches:
            with torch.inference_mode():
                seen = forward(self.model, batch, self.device, lower=self._lower)
                total += float(seen.loss())
                wrong = (seen.logits.argmax(-1) != seen.labels) & (seen.labels != IGNORED)
            right += len(batch.lengths) - len(np.unique(seen.samples[wrong.cpu().numpy()]))
            answers += len(batch.lengths)
        return total, right, answers

    def _backward_all(self, batches: list[Batch], answer_tokens: int) -> float:
        """The gradients of all batches, added in their order; the mean loss over all counted tokens.

        On a CPU each core works on a batch of its own: small matrices gain little from several cores, and
        cores that wait for each other within an operation lose more than half under load. Dropout
        draws from one stream, so with it batches keep their turns.
        """
        import torch

        threads = min(torch.get_num_threads(), len(batches))
        if self.device != "cpu" or threads < 2 or draws_at_random(self.model):
            return sum(self._backward(batch, answer_tokens) for batch in batches)
        weights = list(self.trained.values())

        def work(batch: Batch) -> "tuple[float, tuple[torch.Tensor | None, ...]]":
            loss = self._loss(batch, answer_tokens)
            return float(loss.detach()), torch.autograd.grad(loss, weights, allow_unused=True)

        total = 0.0
        for loss, gradients in self._cores.map(work, batches):
            total += loss
            for one, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    one.grad = gradient if one.grad is None else one.grad.add_(gradient)
        return total

    @functools.cached_property
    def _cores(self) -> ThreadPoolExecutor:
        """A thread for each core, which keeps its memory and the kernels made for it from step to step."""
        import torch

        return ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,))

    def _backward(self, batch: Batch, answer_tokens: int) -> float:
        """Add a batch's gradients; its share of the mean loss over all counted tokens of the step."""
        loss = self._loss(batch, answer_tokens)
        loss.backward()
        return float(loss.detach())

    def _loss(self, batch: Batch, answer_tokens: int) -> "torch.Tensor":
        """A batch's share of the mean loss over all counted tokens of the step, a scalar."""
        seen = forward(self.model, batch, self.device, lower=self._lower)
        return seen.loss() / answer_tokens

    @property
    def _lower(self) -> bool:
        """Whether activations are computed in bfloat16."""
        return self.numerics.precision == "bfloat16"

    def save(self, target: Path) -> None:
        """Leave adapter or model, with the tokenizer, as a whole folder."""
        with writing(target) as temporary:
            if self.training.settings.method == "lora":
                save_adapter(self.model, temporary, self.initial)
            else:
                self.model.save_pretrained(temporary)
            self.tokenizer.save_pretrained(temporary)
            carry_mapping(self.training.base, temporary)
            keep_prompt(temporary, self.training.prompt)
            seal(temporary)


def _validation_batches(training: Training, drawing: Drawing) -> dict[str, list[Batch]]:
    """The questions of a validation by name. Raises `UserError` where none fits."""
    asked = {"validation": training.questions.held_out, "seen": training.questions.seen}
    found = {name: drawing.questions(tasks) for name, tasks in asked.items() if tasks}
    for batches in found.values():
        if not batches:
            raise UserError(
                f"No validation task fits max_seq_len {training.settings.max_seq_len}. Raise it, or choose"
                " smaller tasks with max_cells."
            )
    return found
