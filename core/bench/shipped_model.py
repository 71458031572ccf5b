"""The base model that ships with the project: how fast it is trained and how fast it answers.

Useful tokens per second of a full training by its own recipe's optimizer, and tokens read and written per
second of greedy answers by vLLM, both on made-up tasks of the sizes of ARC, without a peer.
"""

import time
from collections.abc import Iterator
from statistics import median

from core.bench.bench_context import Workshop
from core.bench.registry import Benchmark, Measured, Row
from core.bench.training import our_speed, training_of
from core.storage.models import SHIPPED

MODEL = SHIPPED / "arc-tiny"
PROMPTS = 128
ANSWER_TOKENS = 128
CONTEXT = 2048

TRAINING = Row(
    "training of arc-tiny",
    "tokens/s",
    "Useful tokens per second of a full training of the shipped base model with Muon.",
    more_is_better=True,
)
INFERENCE = Row(
    "inference of arc-tiny",
    "tokens/s",
    "Tokens read and written per second by vLLM, prompts of ARC's sizes and answers of 128 tokens at most.",
    more_is_better=True,
)


def answering_speed(prompts: int = PROMPTS, engine: str = "vllm") -> float:
    """Tokens per second, prompts and answers together, of one engine that is already open."""
    from core.inference.engines import open_engine
    from core.inference.requests import Request
    from core.inference.settings import InferenceSettings
    from core.prompts.templates import prompt_tokens
    from core.prompts.vocabulary import load_tokenizer
    from core.settings import validated

    settings = validated(InferenceSettings, {"engine": engine, "max_model_len": CONTEXT}, "bench")
    tokenizer = load_tokenizer(str(MODEL))
    training = training_of(MODEL)
    prompted = [prompt_tokens(training.mixture.sample(n), training.prompt, tokenizer) for n in range(prompts)]
    fitting = [tokens for tokens in prompted if len(tokens) <= CONTEXT - ANSWER_TOKENS]
    opened = open_engine(settings, str(MODEL))
    list(opened.complete([Request(fitting[0], 2, 0)]))
    began = time.perf_counter()
    written = sum(
        one.output_tokens for one in opened.complete(Request(tokens, ANSWER_TOKENS, 0) for tokens in fitting)
    )
    return (sum(map(len, fitting)) + written) / (time.perf_counter() - began)


def measure(workshop: Workshop) -> Iterator[Measured]:
    """Training as often as is repeated, at most three times; inference once, as its engine starts slowly."""
    workshop.notify("training of arc-tiny")
    speeds = [our_speed(MODEL, method="full", optimizer="muon")[0] for _ in range(min(3, workshop.repeats))]
    yield Measured(TRAINING.name, median(speeds))
    workshop.notify("answers of arc-tiny")
    yield Measured(INFERENCE.name, answering_speed())


BENCHMARKS = (Benchmark("arc-tiny", (TRAINING, INFERENCE), measure),)
