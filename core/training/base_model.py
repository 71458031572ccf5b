"""The base model of a training, loaded with its tokenizer and made ready to learn.

It is tried before the first step with all that is wanted of it at the end: a training that can't be saved is
lost.
"""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import UserError, is_full_disk
from core.modeling.adapted_layers import coverage, coverage_sentence
from core.modeling.attention import attend_within_samples
from core.modeling.last_block import shorten_last_block
from core.modeling.vocabulary_rows import grow_vocabulary
from core.prompts.pairs import add_task_tokens
from core.prompts.template_checks import check_prompts, probe_samples, prompts_fingerprint
from core.prompts.templates import PromptSettings, check_tokenizer
from core.prompts.vocabulary import load_tokenizer
from core.seeds import derived_seed
from core.storage.models import is_out_of_memory
from core.training.models import load_for_training, with_adapter
from core.training.numerics import Numerics
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Base:
    """A model ready to be trained, with its tokenizer; `remarks` is what to record of it."""

    model: Any
    tokenizer: "PreTrainedTokenizerBase"
    packed: bool
    """Whether it reads packed rows."""
    remarks: dict[str, Any]


def load_base(
    location: str,
    settings: TrainingSettings,
    prompt: PromptSettings,
    numerics: Numerics,
    task_ids: Sequence[str],
    seed: int,
) -> Base:
    """Load a model folder or hub name with its tokenizer, check that they suit the prompts, and add what the
    settings want: tokens of tasks (`task_ids`, under the pair template), packed rows, an adapter.

    Raises `UserError` where model, tokenizer and settings do not go together.
    """
    tokenizer = load_tokenizer(location)
    check_tokenizer(tokenizer, prompt)
    check_prompts(tokenizer, prompt)
    remarks: dict[str, Any] = {"prompts": prompts_fingerprint(tokenizer, prompt)}
    model: Any = load_for_training(location, settings, numerics.kind, numerics.weights)
    check_base(model, tokenizer, prompt)
    learned: list[int] = []
    if prompt.template == "pair":
        learned = add_task_tokens(tokenizer, task_ids)
        grow_vocabulary(model, len(tokenizer), derived_seed(seed, "tasks"))
    packed = _is_packed(model, settings)
    if settings.method == "lora":
        model = with_adapter(model, settings, derived_seed(seed, "adapter"), learned)
        remarks |= _remarks(model)
    if settings.recompute:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    return Base(model, tokenizer, packed, remarks)


def check_base(model: Any, tokenizer: "PreTrainedTokenizerBase", prompt: PromptSettings) -> None:
    """Raise `UserError` unless the model has a row for every token of a prompt and finite weights, answers a
    token with finite numbers, and can be saved with its tokenizer (tried with the smallest of its weights).
    """
    location = tokenizer.name_or_path
    tokens = {token for sample in probe_samples(tokenizer, prompt) for token in sample.tokens}
    rows = int(model.get_input_embeddings().weight.shape[0])
    if max(tokens) >= rows:
        raise UserError(
            f"The tokenizer of {location} has a token {max(tokens)}, but its model only {rows} rows. The two"
            " do not belong together; choose another base_model."
        )
    for name, weights in model.named_parameters():
        if not _are_numbers(weights):
            raise UserError(f"The weights {name} of {location} hold no numbers. Download the model again.")
    if not _answers_one_token(model, min(tokens)):
        raise UserError(f"The model of {location} answers with no numbers. Download it again.")
    try:
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder, state_dict=_smallest(model))
            tokenizer.save_pretrained(folder)
    except Exception as problem:  # each library validates in its own way
        if is_out_of_memory(problem) or isinstance(problem, OSError) or is_full_disk(problem):
            raise
        reason = (str(problem).strip() or type(problem).__name__).split("\n")[0]
        raise UserError(
            f"The base model {location} could not be saved after a training ({reason}). Correct the file of"
            " its folder that is named."
        ) from problem


def _are_numbers(weights: Any) -> bool:
    import torch

    return bool(torch.isfinite(weights.detach()).all())


def _answers_one_token(model: Any, token: int) -> bool:
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[token]], device=model.device)).logits
    return bool(torch.isfinite(logits).all())


def _smallest(model: Any) -> dict[str, Any]:
    name, weights = min(model.state_dict().items(), key=lambda one: one[1].numel())
    return {name: weights}


def _is_packed(model: Any, settings: TrainingSettings) -> bool:
    """Make a model ready for packed rows; whether it reads them. Raises `UserError` where it must and
    can't."""
    packed = settings.batching != "padded" and attend_within_samples(model)
    if packed:
        shorten_last_block(model)
    elif settings.batching == "packed":
        raise UserError(
            f"The attention of {type(model).__name__} can't be kept within packed samples."
            " Set training.batching to 'padded'."
        )
    return packed


def _remarks(model: Any) -> dict[str, Any]:
    """How much of the model its adapter reaches; it is said where that is not all."""
    share, left_out = coverage(model)
    sentence = coverage_sentence(share, left_out)
    if sentence is not None:
        log.warning(sentence)
    return {"adapted_share": share, "not_adapted": list(left_out)}
