"""Samples of one step, packed into rows or grouped into padded batches of similar length.

A step draws samples by their numbers, one after another, so a resumed training draws what it would have
drawn. Packed rows hold several samples that do not see each other. Padded batches are padded on the right:
under causal attention no real token sees a pad, so no mask is needed, and grouping by length keeps the
padding small.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from core.arc.tasks import Task
from core.mixing.mixtures import Mixture
from core.parallel.prefetch import Draws, Following, draws_of
from core.parallel.ranks import Workers
from core.prompts.prompt_shortening import fitted_sample
from core.prompts.templates import PromptSettings, Sample
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


IGNORED = -100
MULTIPLE = 32
"""Packed rows on a CPU are filled up to a multiple of so many tokens, so that few sizes occur: its kernels
are made for each size anew, which took a third of the time where every row had its own."""
MOST_DROPPED_IN_A_ROW = 1_000


@dataclass(frozen=True)
class Piece:
    """A sample in arrays, so that whoever packs rows converts no lists: tokens in the narrowest of uint8,
    int16 and int32 that holds them, and for each whether the loss counts it."""

    tokens: npt.NDArray[Any]
    is_answer: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, sample: Sample) -> Self:
        """What whoever drew a sample hands over."""
        largest = max(sample.tokens)
        kind = np.uint8 if largest < 2**8 else np.int16 if largest < 2**15 else np.int32
        return cls(np.array(sample.tokens, dtype=kind), np.array(sample.is_answer, dtype=np.bool_))


Drawn = tuple[Piece | None, int]


@dataclass(frozen=True)
class Batch:
    """Tokens, labels and positions of shape (rows, longest); `labels` are IGNORED where the loss does not
    count. `lengths` are those of the samples; `ends` their ends where they are packed into one row, else
    None."""

    tokens: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    useful_tokens: int
    answer_tokens: int
    lengths: tuple[int, ...]
    ends: tuple[int, ...] | None = None


@dataclass(frozen=True)
class StepBatches:
    """The batches of one step; how many of its samples were dropped as too long, and how many of those in
    the batches lost demonstrations; the number of the sample that the next step begins with."""

    batches: list[Batch]
    dropped: int
    shortened: int
    next_sample: int


@dataclass(frozen=True)
class Drawing:
    """What is needed to draw the batches of any step.

    Packed rows are filled up to a `multiple` of tokens, and worked on so many `side_by_side`; `fixed` ones
    are filled up to whole rows, so that a compiled model sees one size; `draws` has other processes draw the
    samples, and `following` makes the next step's batches beside this one's work.
    """

    mixture: Mixture
    prompt: PromptSettings
    settings: TrainingSettings
    tokenizer: "PreTrainedTokenizerBase"
    tokens_per_batch: int
    packed: bool
    multiple: int = 1
    side_by_side: int = 1
    fixed: bool = False
    draws: "Draws[Drawn] | None" = None
    following: "Following[StepBatches] | None" = None

    def ahead(self, processes: int, workers: Workers = Workers(), *, beside: bool = False) -> "Drawing":
        """The same, with the samples drawn ahead by other processes, each of the workers drawing its share;
        with `beside` the next step's batches are made while somebody works on those of this one. `close` ends
        all of it."""
        draws = draws_of(self.sample, processes, workers)
        return replace(self, draws=draws, following=Following() if beside else None)

    def with_rows_of(self, tokens: int) -> "Drawing":
        """The same, with at most so many tokens in a batch."""
        if self.following is not None:
            self.following.forget()
        return replace(self, tokens_per_batch=tokens)

    def close(self) -> None:
        """End what draws ahead, if there is anything."""
        if self.following is not None:
            self.following.forget()
        if self.draws is not None:
            self.draws.close()

    def step(self, first: int) -> StepBatches:
        """The batches of a step that begins with sample number `first`."""
        if self.following is None:
            return self._step(first)
        return self.following(self._step, first)

    def _step(self, first: int) -> StepBatches:
        drawn = list(self._samples(first))
        fitting = [sample for sample, _ in drawn if sample is not None]
        shortened = sum(removed > 0 for _, removed in drawn)
        batches = self.batches(fitting)
        return StepBatches(batches, len(drawn) - len(fitting), shortened, first + len(drawn))

    def batches(self, samples: Sequence[Piece]) -> list[Batch]:
        """Samples in packed rows or padded batches."""
        lengths = [len(sample.tokens) for sample in samples]
        if self.packed:
            groups = group_evenly(lengths, self.tokens_per_batch, self.side_by_side)
            rows = [[samples[index] for index in group] for group in groups]
            if self.fixed:
                return [pack(row, self.tokens_per_batch, self.settings.max_seq_len) for row in rows]
            return [pack(row, self.multiple) for row in rows]
        groups = group_by_length(lengths, self.tokens_per_batch)
        return [pad([samples[index] for index in group], self._pad) for group in groups]

    def questions(self, tasks: Sequence[Task]) -> list[Batch]:
        """Batches of questions whose answers alone count; one that is too long loses demonstrations, and is
        left out where that does not help."""
        prompt = self.prompt.model_copy(update={"too_long": "shorten"})
        fitted = (fitted_sample(task, prompt, self.tokenizer, self.settings.max_seq_len) for task in tasks)
        return self.batches([Piece.of(sample) for sample, _ in fitted if sample is not None])

    @property
    def _pad(self) -> int:
        pad = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id if pad is None else pad)

    def _samples(self, first: int) -> "Iterator[Drawn]":
        """Samples from `first` on and what they lost: so many as the settings say, or until the next would
        exceed the tokens of a step (which then begins the next step). Where none of them fits, more until
        one does."""
        draw = self.draws or self.sample
        tokens = taken = 0
        for number in itertools.count(first):
            drawn = number - first
            if self.settings.tokens_per_step is None and taken and drawn >= self.settings.samples_per_step:
                return
            if not taken and drawn > max(MOST_DROPPED_IN_A_ROW, self.settings.samples_per_step):
                return
            sample, removed = draw(number)
            size = 0 if sample is None else len(sample.tokens)
            if self.settings.tokens_per_step and taken and tokens + size > self.settings.tokens_per_step:
                return
            taken += sample is not None
            tokens += size
            yield sample, removed

    def sample(self, number: int) -> "Drawn":
        """Sample `number` as it fits, or None, and how many demonstrations it lost."""
        sample, lost = fitted_sample(
            self.mixture.sample(number),
            self.prompt,
            self.tokenizer,
            self.settings.max_seq_len,
            every_output=self.settings.loss_on == "outputs",
        )
        return None if sample is None else Piece.of(sample), lost


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


def group_to_pack(lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
    """Indices grouped so that each group holds at most `tokens_per_batch` tokens (a single sample may exceed
    it): from long to short, each where it leaves the least room (best-fit decreasing)."""
    groups: list[list[int]] = []
    rooms: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        fitting = [place for place, room in enumerate(rooms) if lengths[index] <= room]
        if fitting:
            place = min(fitting, key=lambda place: (rooms[place], place))
            groups[place].append(index)
            rooms[place] -= lengths[index]
        else:
            groups.append([index])
            rooms.append(tokens_per_batch - lengths[index])
    return groups


def group_evenly(lengths: Sequence[int], tokens_per_batch: int, side_by_side: int) -> list[list[int]]:
    """The same for groups of which so many are worked on `side_by_side`: a multiple of them, as equal in
    size as can be, so that nobody waits for a last one (longest first, each to the smallest group)."""
    count = len(group_to_pack(lengths, tokens_per_batch))
    if side_by_side == 1 or not count:
        return group_to_pack(lengths, tokens_per_batch)
    while True:
        count = min(len(lengths), -(-count // side_by_side) * side_by_side)
        groups: list[list[int]] = [[] for _ in range(count)]
        sizes = [0] * count
        for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
            place = min(range(count), key=lambda place: (sizes[place], place))
            groups[place].append(index)
            sizes[place] += lengths[index]
        if max(sizes) <= max(tokens_per_batch, *lengths) or count == len(lengths):
            return groups
        count += 1


def pad(samples: Sequence[Piece], padding: int) -> Batch:
    """Samples one below the other, padded on the right to the longest of them."""
    longest = max(len(sample.tokens) for sample in samples)
    tokens = np.full((len(samples), longest), padding, dtype=np.int64)
    labels = np.full((len(samples), longest), IGNORED, dtype=np.int64)
    for row, sample in enumerate(samples):
        size = len(sample.tokens)
        tokens[row, :size] = sample.tokens
        labels[row, :size][sample.is_answer] = sample.tokens[sample.is_answer]
    positions = np.broadcast_to(np.arange(longest), tokens.shape)
    lengths = tuple(len(sample.tokens) for sample in samples)
    return Batch(tokens, labels, positions, sum(lengths), int((labels != IGNORED).sum()), lengths)


def pack(samples: Sequence[Piece], multiple: int = 1, longest: int | None = None) -> Batch:
    """Samples one after another in a single row; the positions begin at 0 with each. Behind the last one
    the row is filled up to a multiple of so many tokens, which no loss counts and no sample sees, in pieces
    of at most `longest`."""
    tokens = np.concatenate([sample.tokens for sample in samples], dtype=np.int64)
    counted = np.concatenate([sample.is_answer for sample in samples])
    sizes = tuple(len(sample.tokens) for sample in samples)
    positions = np.concatenate([np.arange(size) for size in sizes])
    labels = np.where(counted & (positions > 0), tokens, IGNORED)
    ends = tuple(itertools.accumulate(sizes))
    useful, answer_tokens = len(tokens), int((labels != IGNORED).sum())
    if filling := -useful % multiple:
        tokens = np.append(tokens, np.zeros(filling, dtype=np.int64))
        labels = np.append(labels, np.full(filling, IGNORED, dtype=np.int64))
        piece = longest or filling
        positions = np.append(positions, np.arange(filling) % piece)
        ends = (*ends, *range(useful + piece, useful + filling, piece), useful + filling)
    return Batch(tokens[None], labels[None], positions[None], useful, answer_tokens, sizes, ends)
