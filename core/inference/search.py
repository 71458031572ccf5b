"""Depth-first search: every answer above a bound of probability, instead of attempts.

The model's answer to a view is a tree of tokens; the probability of a branch is the product along it, so no
answer below a branch is likelier than the branch. A request follows the likeliest token from where it begins
and tells the alternatives at each place; each alternative that leaves the branch above the bound becomes a
request of its own, whose prompt the engine's prefix cache knows already. At most 1 / bound answers can be
above it, and as many tokens at a place, so the search is exhaustive unless its requests run out (after
Franzen et al. 2024, "The LLM ARChitect").

In come prompts, out come answers with their log-probabilities, the likeliest first.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from core.inference.requests import Completion, Engine, Request
from core.inference.settings import SearchSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROUNDING = 1e-6
"""Of log-probabilities: an engine that reads a branch anew adds in another order."""

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """A whole answer: its tokens without the end, and its log-probability with it (nats)."""

    tokens: Tokens
    logprob: float


@dataclass(frozen=True)
class Found:
    """What a search came to: the answers, the likeliest first, the requests that it took, and whether it was
    exhaustive: no branch above the bound was left, and none was cut off at the longest answer."""

    answers: tuple[Answer, ...]
    requests: int
    exhaustive: bool


@dataclass
class _Tree:
    """The search below one prompt."""

    prompt: Request
    least: float
    most_requests: int
    ends: frozenset[int]
    waiting: list[tuple[float, Tokens]] = field(default_factory=lambda: [(-0.0, ())])
    answers: list[Answer] = field(default_factory=list)
    requests: int = 0
    cut: bool = False

    def take(self) -> list[tuple[float, Tokens]]:
        """The branches to request next, the likeliest first, so far as requests are left."""
        count = min(len(self.waiting), self.most_requests - self.requests)
        self.requests += count
        return [heapq.heappop(self.waiting) for _ in range(count)]

    def request(self, branch: Tokens, alternatives: int) -> Request:
        room = self.prompt.max_output_tokens - len(branch)
        tokens = [*self.prompt.tokens, *branch]
        return replace(self.prompt, tokens=tokens, max_output_tokens=room, alternatives=alternatives)

    def grow(self, cost: float, branch: Tokens, completion: Completion) -> None:
        """Take the continuation of a branch: its alternatives wait or are answers, and so is its end."""
        logprob = -cost
        last = len(completion.tokens) - 1 if completion.finish_reason == "stop" else -1
        for place, (chosen, likeliest) in enumerate(
            zip(completion.tokens, completion.alternatives, strict=True)
        ):
            for token, value in likeliest:
                if token != chosen:
                    self._add(branch, token, logprob + value)
            logprob += dict(likeliest)[chosen]
            if logprob < self.least - ROUNDING:
                return
            if chosen in self.ends or place == last:  # a model may have ends of its own
                self.answers.append(Answer(branch, logprob))
                return
            branch = (*branch, chosen)
        self.cut = True

    def _add(self, branch: Tokens, token: int, logprob: float) -> None:
        if logprob < self.least - ROUNDING:
            return
        if token in self.ends:
            self.answers.append(Answer(branch, logprob))
        elif len(branch) + 1 >= self.prompt.max_output_tokens:
            self.cut = True
        else:
            heapq.heappush(self.waiting, (-logprob, (*branch, token)))

    def found(self) -> Found:
        answers = sorted(self.answers, key=lambda one: (-one.logprob, one.tokens))
        return Found(tuple(answers), self.requests, exhaustive=not self.waiting and not self.cut)


def alternatives_of(settings: SearchSettings) -> int:
    """How many of the likeliest tokens at a place can be above the bound."""
    return math.floor(1 / settings.min_probability + ROUNDING)


def search(
    prompts: Sequence[Request], engine: Engine, ends: frozenset[int], settings: SearchSettings
) -> list[Found]:
    """Search below each of the prompts, all at once: a round asks for every branch that waits.

    `ends` are the tokens that end an answer. The likeliest branches come first, so that what is left out
    where requests run out is what was least likely.
    """
    least, count = math.log(settings.min_probability), alternatives_of(settings)
    trees = [_Tree(prompt, least, settings.most_requests, ends) for prompt in prompts]
    while taken := list(_round(trees)):
        requests = [tree.request(branch, count) for tree, (_, branch) in taken]
        for completion in engine.complete(requests):
            tree, (cost, branch) = taken[completion.index]
            tree.grow(cost, branch, completion)
    return [tree.found() for tree in trees]


def _round(trees: Sequence[_Tree]) -> Iterator[tuple[_Tree, tuple[float, Tokens]]]:
    for tree in trees:
        for branch in tree.take():
            yield tree, branch


def end_tokens(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """The token that ends an answer."""
    end = tokenizer.eos_token_id
    assert isinstance(end, int)
    return frozenset({end})
