"""One training: draw samples, step, report, checkpoint, and leave the trained model in a folder.

Comes in: settings, a mixture, a base model, a seed. Goes out: `adapter/` or `model/` (safetensors),
whose existence means that the training is done, and a report for each step. What is drawn and what is
random depends on seed and step alone, so a killed training goes on with the losses it would have had.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.curation.mixtures import Mixture
from core.errors import UserError
from core.prompts.templates import PromptSettings, check_tokenizer
from core.prompts.vocabulary import load_tokenizer
from core.seeds import derived_seed
from core.storage.files import writing
from core.storage.models import is_out_of_memory
from core.training.attention import attend_within_samples, boundaries, can_pack
from core.training.batches import IGNORED, Batch, Drawing
from core.training.checkpoints import Position, load_checkpoint, save_checkpoint
from core.training.models import initial_factors, load_for_training, save_adapter, with_adapter
from core.training.optimizers import Optimizers, make_optimizers, one_thread
from core.training.schedules import learning_rate_at
from core.training.settings import TrainingSettings
from core.training.shrinking import carry_mapping

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

# On two cores small batches stay in the caches: 13,500 tokens/s at 2,048 tokens, 9,200 at 16,384.
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 32768}

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Training:
    """Everything one training is made of; `base` is a model folder or a hub name."""

    settings: TrainingSettings
    prompt: PromptSettings
    mixture: Mixture
    base: str
    seed: int


def trained_folder(folder: Path, settings: TrainingSettings) -> Path:
    """Where the result of a training lies inside its run folder."""
    return folder / ("adapter" if settings.method == "lora" else "model")


def train(training: Training, folder: Path, report: Report) -> Path:
    """Train, resuming from `folder/checkpoint` where there is one; the folder of the result.

    Each step is reported as a record: step (counted from 1), total, loss (mean over counted tokens,
    nats), learning_rate, tokens_per_second (padding not counted), dropped and shortened (samples too
    long), eta_seconds.
    Raises `UserError` where the loss is no number, memory ends, or no sample fits.
    """
    target = trained_folder(folder, training.settings)
    if target.exists():
        return target
    try:
        _train_to(target, training, folder / "checkpoint", report)
    except (RuntimeError, MemoryError) as problem:
        if not is_out_of_memory(problem):
            raise
        raise UserError(
            "The device has too little memory. Lower training.tokens_per_batch or training.max_seq_len,"
            " or choose a smaller base_model."
        ) from problem
    return target


def _train_to(target: Path, training: Training, checkpoints: Path, report: Report) -> None:
    """The steps that are left, and the result in `target`."""
    loop = _Loop.start(training)
    begun = position = load_checkpoint(checkpoints, loop.trained, loop.optimizer)
    begin = time.monotonic()
    while position.steps < training.settings.steps:
        record, position = loop.step(position)
        done = position.steps
        per_step = (time.monotonic() - begin) / (done - begun.steps)
        report({**record, "eta_seconds": per_step * (training.settings.steps - done)})
        if done % training.settings.checkpoint_every == 0 and done < training.settings.steps:
            save_checkpoint(checkpoints, position, loop.trained, loop.optimizer)
    loop.save(target)


@dataclass
class _Loop:
    """The live objects of a training."""

    training: Training
    device: str
    tokenizer: "PreTrainedTokenizerBase"
    drawing: Drawing
    model: Any
    trained: dict[str, "torch.nn.Parameter"]
    initial: "dict[str, torch.Tensor] | None"
    optimizer: Optimizers

    @classmethod
    def start(cls, training: Training) -> "_Loop":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        settings = training.settings
        tokenizer = load_tokenizer(training.base)
        check_tokenizer(tokenizer, training.prompt)
        model: Any = load_for_training(training.base, settings, device)
        packed = settings.batching == "packed" or (
            settings.batching == "auto" and device != "cpu" and can_pack(model, settings.max_seq_len)
        )
        if packed:
            attend_within_samples(model, settings.max_seq_len)
        drawing = Drawing(
            training.mixture,
            training.prompt,
            settings,
            tokenizer,
            settings.tokens_per_batch or TOKENS_PER_BATCH[device],
            packed,
        )
        if settings.method == "lora":
            model = with_adapter(model, settings, derived_seed(training.seed, "adapter"))
        if settings.recompute:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
        trained = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
        optimizers = make_optimizers(trained, settings)
        return cls(
            training, device, tokenizer, drawing, model, trained, initial_factors(model, settings), optimizers
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
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(derived_seed(self.training.seed, "step", step))
            loss = self._backward_all(drawn.batches, answer_tokens)
        if not math.isfinite(loss):
            raise UserError(f"The loss of step {step + 1} is {loss}. Lower training.learning_rate.")
        with one_thread():
            norm = float(torch.nn.utils.clip_grad_norm_(self.trained.values(), settings.clip_norm))
            if not math.isfinite(norm):  # the step would turn every weight, and the next checkpoint, into NaN
                raise UserError(f"The gradient of step {step + 1} is {norm}. Lower training.learning_rate.")
            self.optimizer.step()
        self.optimizer.zero_grad()
        useful = sum(batch.useful_tokens for batch in drawn.batches)
        record = {
            "step": step + 1,
            "total": settings.steps,
            "loss": loss,
            "learning_rate": rate,
            "tokens_per_second": useful / (time.monotonic() - begin),
            "dropped": drawn.dropped,
            "shortened": drawn.shortened,
        }
        return record, Position(step + 1, drawn.next_sample)

    def _backward_all(self, batches: list[Batch], answer_tokens: int) -> float:
        """The gradients of all batches, added in their order; the mean loss over all counted tokens.

        On a CPU each core works on a batch of its own: small matrices gain little from several cores, and
        cores that wait for each other within an operation lose more than half under load. Dropout
        draws from one stream, so with it batches keep their turns.
        """
        import torch

        threads = min(torch.get_num_threads(), len(batches))
        if self.device != "cpu" or threads < 2 or self.training.settings.lora.dropout:
            return sum(self._backward(batch, answer_tokens) for batch in batches)
        weights = list(self.trained.values())

        def work(batch: Batch) -> "tuple[float, tuple[torch.Tensor | None, ...]]":
            torch.set_num_threads(1)  # of this thread alone
            loss = self._loss(batch, answer_tokens)
            return float(loss.detach()), torch.autograd.grad(loss, weights, allow_unused=True)

        total = 0.0
        with ThreadPoolExecutor(threads) as pool:
            for loss, gradients in pool.map(work, batches):
                total += loss
                for one, gradient in zip(weights, gradients, strict=True):
                    if gradient is not None:
                        one.grad = gradient if one.grad is None else one.grad.add_(gradient)
        return total

    def _backward(self, batch: Batch, answer_tokens: int) -> float:
        """Add a batch's gradients; its share of the mean loss over all counted tokens of the step."""
        loss = self._loss(batch, answer_tokens)
        loss.backward()
        return float(loss.detach())

    def _loss(self, batch: Batch, answer_tokens: int) -> "torch.Tensor":
        """A batch's share of the mean loss over all counted tokens of the step, a scalar.

        Logits are computed where the loss looks at them: in a packed row at the tokens before counted ones,
        in padded rows from the first of these on.
        """
        import torch

        counted = np.flatnonzero((batch.labels[:, 1:] != IGNORED).any(axis=0))
        kept = counted if batch.ends else np.arange(counted[0], batch.labels.shape[1] - 1)
        labels = torch.from_numpy(batch.labels[:, kept + 1]).to(self.device)
        places: dict[str, Any] = {"input_ids": torch.from_numpy(batch.tokens).to(self.device)}
        if batch.ends:
            places["position_ids"] = torch.from_numpy(batch.positions).to(self.device)
            places |= boundaries(batch.ends, self.device)
        places["logits_to_keep"] = torch.from_numpy(kept).to(self.device)
        precision = self.training.settings.precision
        lower = precision == "bfloat16" or (precision == "auto" and self.device != "cpu")
        # Without a cache of lowered weights, which batches on several threads would share.
        with torch.autocast(self.device, torch.bfloat16, enabled=lower, cache_enabled=False):
            logits = self.model(**places).logits
        loss = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1),
            labels.flatten(),
            ignore_index=IGNORED,
            reduction="sum",
        )
        return loss / answer_tokens

    def save(self, target: Path) -> None:
        """Leave adapter or model, with the tokenizer, as a whole folder."""
        with writing(target) as temporary:
            if self.training.settings.method == "lora":
                save_adapter(self.model, temporary, self.initial)
            else:
                self.model.save_pretrained(temporary)
            self.tokenizer.save_pretrained(temporary)
            carry_mapping(self.training.base, temporary)
