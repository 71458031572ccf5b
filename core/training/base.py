"""The base model of a training, tried before the first step with all that is wanted of it at the end: a
training that can't be saved is lost.
"""

import tempfile
from typing import TYPE_CHECKING, Any

from core.errors import UserError, is_full_disk
from core.prompts.checks import probe_samples
from core.prompts.templates import PromptSettings
from core.storage.models import is_out_of_memory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_base(model: Any, tokenizer: "PreTrainedTokenizerBase", prompt: PromptSettings) -> None:
    """Raise `UserError` unless the model has a row for every token of a prompt, answers one token with finite
    numbers, and can be saved with its tokenizer (tried with the smallest of its weights)."""
    location = tokenizer.name_or_path
    tokens = {token for sample in probe_samples(tokenizer, prompt) for token in sample.tokens}
    rows = int(model.get_input_embeddings().weight.shape[0])
    if max(tokens) >= rows:
        raise UserError(
            f"The tokenizer of {location} has a token {max(tokens)}, but its model only {rows} rows. The two"
            " do not belong together; choose another base_model."
        )
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


def _answers_one_token(model: Any, token: int) -> bool:
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[token]], device=model.device)).logits
    return bool(torch.isfinite(logits).all())


def _smallest(model: Any) -> dict[str, Any]:
    name, weights = min(model.state_dict().items(), key=lambda one: one[1].numel())
    return {name: weights}
