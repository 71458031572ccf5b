"""How the transformers engine chooses tokens: each row by its own seed, whatever it is batched with.

The Gumbel-max trick (Gumbel 1954): adding -log(e), with e drawn from the exponential distribution, to
the logits and taking the largest is the same as sampling from their softmax. So `generate` always takes
the largest, and a prompt's answer depends on its seed alone, not on its neighbours or on a resume.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class TokenChoice:
    """A logits processor that keeps the log probability of each chosen token and, above temperature 0,
    adds the noise that makes the largest logit a sample."""

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float, alternatives: int = 0) -> None:
        import torch

        self._temperature, self._top_p, self._alternatives = temperature, top_p, alternatives
        self._likeliest: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._before: torch.Tensor | None = None
        self._chosen: list[torch.Tensor] = []

    def __call__(self, tokens: "torch.Tensor", logits: "torch.Tensor") -> "torch.Tensor":
        """Logits of shape (rows, vocabulary), of which the largest is taken."""
        import torch

        self._note(tokens)
        self._before = logits.float().log_softmax(-1)
        if not self._temperature:
            return logits
        warped = nucleus((logits.float() / self._temperature), self._top_p)
        draws = [torch.empty(logits.shape[1]).exponential_(generator=one) for one in self._generators]
        return warped - torch.stack(draws).log().to(logits.device)

    def logprobs(self, tokens: "torch.Tensor") -> "torch.Tensor":
        """Log probabilities (before temperature) of all chosen tokens, shape (rows, generated)."""
        import torch

        self._note(tokens)
        return torch.stack(self._chosen, dim=1).cpu()

    def likeliest(self, row: int, count: int) -> tuple[tuple[tuple[int, float], ...], ...]:
        """The likeliest tokens at the first `count` places of a row with their log probabilities. Call it
        after `logprobs`."""
        return tuple(
            tuple(zip(places[row].tolist(), values[row].tolist(), strict=True))
            for places, values in self._likeliest[:count]
        )

    def _note(self, tokens: "torch.Tensor") -> None:
        if self._before is not None:
            self._chosen.append(self._before.gather(1, tokens[:, -1:])[:, 0])
            if self._alternatives:
                count = min(self._alternatives, self._before.shape[1])
                values, places = self._before.topk(count, dim=-1)
                self._likeliest.append((places.cpu(), values.cpu()))
            self._before = None


def nucleus(logits: "torch.Tensor", top_p: float) -> "torch.Tensor":
    """Logits with -inf outside the smallest set of tokens that holds `top_p` of the probability
    (Holtzman et al. 2020)."""
    if top_p >= 1:
        return logits
    ordered, places = logits.sort(dim=-1, descending=True)
    shares = ordered.softmax(-1)
    outside = shares.cumsum(-1) - shares >= top_p
    return logits.masked_fill(outside.scatter(-1, places, outside), float("-inf"))
