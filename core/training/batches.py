"""Samples of one step, grouped into batches of similar length.

Step s takes the samples numbered s·samples_per_step … of its mixture, so a resumed training draws what
it would have drawn. Batches are padded on the right: under causal attention no real token sees a pad,
so no mask is needed, and grouping by length keeps the padding small.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from core.curation.mixtures import Mixture
from core.prompts.shortening import fitted_sample
from core.prompts.templates import PromptSettings, Sample
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100


@dataclass(frozen=True)
class Batch:
    """Tokens and labels of shape (samples, longest); `labels` are IGNORED where the loss does not count."""

    tokens: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    useful_tokens: int
    answer_tokens: int


@dataclass(frozen=True)
class StepBatches:
    """The batches of one step; how many of its samples were dropped as too long, and how many of those in
    the batches lost demonstrations."""

    batches: list[Batch]
    dropped: int
    shortened: int


def draw_step(
    step: int,
    mixture: Mixture,
    prompt: PromptSettings,
    settings: TrainingSettings,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    tokens_per_batch: int,
) -> StepBatches:
    """The batches of a step, and how many of its samples were too long."""
    first = step * settings.samples_per_step
    drawn = [
        fitted_sample(
            mixture.sample(number),
            prompt,
            tokenizer,
            settings.max_seq_len,
            every_output=settings.loss_on == "outputs",
        )
        for number in range(first, first + settings.samples_per_step)
    ]
    fitting = [sample for sample, _ in drawn if sample is not None]
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    groups = group_by_length([len(sample.tokens) for sample in fitting], tokens_per_batch)
    batches = [make_batch([fitting[index] for index in group], int(pad)) for group in groups]
    return StepBatches(batches, len(drawn) - len(fitting), sum(removed > 0 for _, removed in drawn))


def group_by_length(lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
    """Indices grouped from short to long, so that each group, padded, holds at most `tokens_per_batch`
    tokens (a single sample may exceed it)."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: (lengths[index], index)):
        if groups and (len(groups[-1]) + 1) * lengths[index] <= tokens_per_batch:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def make_batch(samples: Sequence[Sample], pad: int) -> Batch:
    """Pad samples on the right to the longest of them."""
    longest = max(len(sample.tokens) for sample in samples)
    tokens = np.full((len(samples), longest), pad, dtype=np.int64)
    labels = np.full((len(samples), longest), IGNORED, dtype=np.int64)
    for row, sample in enumerate(samples):
        size = len(sample.tokens)
        tokens[row, :size] = sample.tokens
        labels[row, :size] = np.where(sample.is_answer, sample.tokens, IGNORED)
    return Batch(
        tokens, labels, sum(len(sample.tokens) for sample in samples), int((labels != IGNORED).sum())
    )
