"""How many tokens training samples have: of each task of a source, or of what a mixture draws.

A sample counts as training counts it: prompt, answer and end token. Every task is counted once, under a
view that depends on its id alone, so a source has the same lengths wherever they are computed. They are
kept in `data/.cache/lengths/` under a fingerprint of the tasks, the prompt and the tokenizer.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.arc.tasks import Task
from core.curation.sources import content_key, load_tasks
from core.errors import UserError
from core.mixing.augmentations import Augmentation, can_be_asked
from core.mixing.mixtures import Mixture, draw_sample
from core.prompts.pairs import add_task_tokens, pair_count
from core.prompts.templates import PromptSettings, answer_text, prompt_text, training_sample
from core.prompts.vocabulary import VOCABULARY, load_tokenizer
from core.seeds import generator
from core.storage.files import fingerprint, keep_json, read_json
from core.storage.model_files import tokenizer_fingerprint
from core.storage.models import list_models, model_location

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EMBEDDED = "embedded"
WINDOWS = (1024, 2048, 4096, 8192, 16384)

Count = Callable[[Task, PromptSettings], int]
"""Tokens of a training sample; the task has exactly one test pair, with a known output."""
Progress = Callable[[str, int, int | None], None]

_SEED = 0


@dataclass(frozen=True)
class Lengths:
    """Tokens of one training sample of each task of a source, in the order of `task_ids`. `left_out` tasks
    have no pair with a known output to ask about."""

    source: str
    model: str
    task_ids: tuple[str, ...]
    tokens: tuple[int, ...]
    left_out: int = 0

    def fitting(self, window: int) -> float | None:
        """The share of samples with at most `window` tokens; None where there is no sample."""
        return share_fitting(self.tokens, window)

    @property
    def median(self) -> float | None:
        """The median number of tokens."""
        ordered, size = sorted(self.tokens), len(self.tokens)
        return (ordered[(size - 1) // 2] + ordered[size // 2]) / 2 if size else None

    @property
    def longest(self) -> tuple[str, int] | None:
        """Id and tokens of the longest sample."""
        pairs = zip(self.task_ids, self.tokens, strict=True)
        return max(pairs, key=lambda pair: pair[1], default=None)

    def record(self) -> dict[str, Any]:
        """A flat record: source, model, samples, left_out, median, longest, longest_task, fits_1024 …"""
        task_id, most = self.longest or (None, None)
        return {
            "source": self.source,
            "model": self.model,
            "samples": len(self.tokens),
            "left_out": self.left_out,
            "median": self.median,
            "longest": most,
            "longest_task": task_id,
            **{f"fits_{window}": self.fitting(window) for window in WINDOWS},
        }


@dataclass(frozen=True)
class Drawn:
    """Sample `number` of a mixture and its tokens."""

    number: int
    task: Task
    tokens: int


def share_fitting(tokens: Sequence[int], window: int) -> float | None:
    """The share of samples with at most `window` tokens; None where there is no sample."""
    return sum(count <= window for count in tokens) / len(tokens) if tokens else None


def models_to_count_with(root: Path) -> list[str]:
    """The names that `counter` takes here: the embedded tokenizer, and the models in data/models."""
    return [EMBEDDED, *list_models(root)]


def counter(root: Path, model: str) -> tuple[Count, str]:
    """What counts tokens for a model, and the fingerprint of its tokenizer.

    The embedded tokenizer has one token per character, so nothing needs to be loaded for it.
    Raises `UserError` where there is no such model.
    """
    if model == EMBEDDED:
        return embedded_count, fingerprint(VOCABULARY)
    location = model_location(root, model)
    tokenizer = tokenizer_fingerprint(location)
    return _tokenizer_count(location, tokenizer), tokenizer


def embedded_count(task: Task, prompt: PromptSettings) -> int:
    """Tokens under the embedded tokenizer: every character, one end token after each output, one at the
    beginning. Raises `UserError` for the chat template, which it does not have."""
    if prompt.template == "chat":
        raise UserError("The embedded tokenizer has no chat template. Choose another model or template.")
    (test,) = task.test
    assert test.output is not None
    if prompt.template == "pair":
        return pair_count(task, prompt.encoding) + len(answer_text(test.output, prompt)) + 1
    return 1 + len(prompt_text(task, prompt, end=".")) + len(answer_text(test.output, prompt)) + 1


@functools.lru_cache(maxsize=4)
def _tokenizer_count(location: str, _fingerprint: str) -> Count:
    tokenizer: PreTrainedTokenizerBase = load_tokenizer(location)

    def count(task: Task, prompt: PromptSettings) -> int:
        if prompt.template == "pair":
            add_task_tokens(tokenizer, [task.task_id])
        return len(training_sample(task, prompt, tokenizer).tokens)

    return count


def _silent(_what: str, _done: int, _total: int | None) -> None:
    """A progress that nobody watches."""


def source_lengths(
    root: Path, source: str, model: str, prompt: PromptSettings, progress: Progress = _silent
) -> Lengths:
    """The lengths of all tasks of a source, from the cache where it is the same source, prompt and tokenizer.

    Raises `UserError` for an unknown source or model, and where the tokenizer lacks the template.
    """
    count, tokenizer = counter(root, model)
    parts = [content_key(root, source), prompt.model_dump(mode="json"), tokenizer]
    path = root / "data" / ".cache" / "lengths" / f"{fingerprint(parts)}.json"
    kept = _kept(path, source, model)
    if kept is None:
        kept = _measured(source, model, load_tasks(root, source).values(), count, prompt, progress)
        keep_json(path, asdict(kept))
    return kept


def _kept(path: Path, source: str, model: str) -> Lengths | None:
    """The lengths of a cache file under their present names; None where it is absent or damaged."""
    try:
        record = read_json(path)
        task_ids, tokens = tuple(map(str, record["task_ids"])), tuple(map(int, record["tokens"]))
        left_out = int(record["left_out"])
    except (UserError, OSError, KeyError, TypeError, ValueError):
        return None
    return Lengths(source, model, task_ids, tokens, left_out) if len(task_ids) == len(tokens) else None


def _measured(
    source: str, model: str, tasks: Iterable[Task], count: Count, prompt: PromptSettings, progress: Progress
) -> Lengths:
    augmentation = Augmentation()
    members = list(tasks)
    usable = [task for task in members if can_be_asked(task, augmentation)]
    tokens = []
    for number, task in enumerate(usable, 1):
        rng = generator(_SEED, "length", task.task_id)
        tokens.append(count(draw_sample(rng, task, augmentation), prompt))
        progress(f"Counting tokens of {source}", number, len(usable))
    left_out = len(members) - len(usable)
    return Lengths(source, model, tuple(task.task_id for task in usable), tuple(tokens), left_out)


def draw_with_lengths(mixture: Mixture, count: Count, prompt: PromptSettings, samples: int) -> list[Drawn]:
    """The first samples of a mixture, as a training with its seed draws them, with their tokens."""
    drawn = ((number, mixture.sample(number)) for number in range(samples))
    return [Drawn(number, task, count(task, prompt)) for number, task in drawn]
