"""One side of an inference benchmark, in a process of its own.

`python -m core.bench.inference_process SIDE …` starts it. It loads what the side needs and says so; then, for
each line that it is sent, it answers once and writes a line of JSON: how many tokens were read and written,
and in how many seconds. Sides:

- `engine`: our inference (`ours TURN`) and `LLM.generate` on the same prompts (`bare TURN`), by one engine of
  vLLM that forgets its cache of prompts before each;
- `generate`: transformers on the same prompts, sorted by length (`SIZE TURN`, SIZE prompts in a batch);
- `adapters ADAPTER…`: an evaluation by each adapter, all by one engine, once.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.arc.tasks import Task
from core.inference.predict import Job, answer, questions_of
from core.inference.prediction_parts import Evaluation
from core.inference.settings import InferenceSettings
from core.prompts.encoders import GridEncoding
from core.prompts.templates import PromptSettings
from core.settings import validated
from core.storage.evaluation_files import PREDICTIONS_FILE
from core.storage.models import SHIPPED

MODEL = str(SHIPPED / "arc-tiny")
SOURCE = "arc1/evaluation"
CONTEXT = 1536
ANSWER_TOKENS = 224
MOST_CELLS = 900
EXPERIMENT = "bench"

Answer = dict[str, float]


def prepared(folder: Path) -> list[Task]:
    """Tasks of ARC-1's evaluation set whose prompts mostly fit the context, of many sizes; imported once."""
    from core.curation.sources import load_tasks
    from core.curation.stored import parquet_path
    from core.importing.import_source import import_bundle

    if not parquet_path(folder, SOURCE).exists():
        import_bundle(folder, SOURCE.split("/")[0])
    return [task for task in load_tasks(folder, SOURCE).values() if task.cells <= MOST_CELLS]


def evaluation_of(tasks: Sequence[Task], attempts: int, eval_seed: int, train_seed: int = 0) -> Evaluation:
    """One evaluation, with the prompts that the model was trained on."""
    values = {"attempts": attempts, "max_model_len": CONTEXT, "max_output_tokens": ANSWER_TOKENS}
    settings = validated(InferenceSettings, values, "bench")
    prompt = PromptSettings(encoding=GridEncoding(shape_header=True, row_numbers=True))
    return Evaluation(EXPERIMENT, "bench", train_seed, eval_seed, tasks, settings, prompt)


def job_of(folder: Path, evaluation: Evaluation, adapter: Path | None = None) -> Job:
    """The evaluation as a stage of a run does it, progress and state included."""
    from core.runs.layout import Run
    from core.runs.reporter import Reporter

    run = Run(folder, EXPERIMENT, evaluation.variant, evaluation.train_seed)
    run.folder.mkdir(parents=True, exist_ok=True)
    return Job(evaluation, run.eval_folder(evaluation.eval_seed), Reporter(run, "infer"), adapter)


def tokens_in(jobs: Sequence[Job]) -> int:
    """Tokens of all prompts and answers that were predicted."""
    import pyarrow.parquet as pq

    tables = [pq.read_table(job.folder / PREDICTIONS_FILE, partitioning=None) for job in jobs]
    with_tokens = [row for table in tables for row in table.to_pylist() if row["output_tokens"]]
    return sum(row["prompt_tokens"] + row["output_tokens"] for row in with_tokens)


def answered(jobs: Sequence[Job], engine: Any, tokenizer: Any) -> Answer:
    """All evaluations from their tasks to their files."""
    began = time.perf_counter()
    for _, problem in answer(jobs, engine, tokenizer):
        if problem is not None:
            raise problem
    seconds = time.perf_counter() - began
    return {"tokens": tokens_in(jobs), "seconds": seconds}


def engine_side(folder: Path, tasks: Sequence[Task], attempts: int) -> Callable[[str, int], Answer]:
    """Ours and the bare library, by one engine."""
    from vllm import SamplingParams

    from core.inference.engines import open_engine
    from core.inference.vllm_engine import VllmEngine
    from core.prompts.vocabulary import load_tokenizer

    engine = open_engine(evaluation_of(tasks, attempts, 0).settings, MODEL)
    assert isinstance(engine, VllmEngine)
    library, tokenizer = engine.library, load_tokenizer(MODEL)

    def bare(evaluation: Evaluation) -> Answer:
        requests = [one.request for one in questions_of(evaluation, tokenizer) if one.request]
        prompts: list[Any] = [{"prompt_token_ids": request.tokens} for request in requests]
        limits = [SamplingParams(temperature=0.0, max_tokens=one.max_output_tokens) for one in requests]
        began = time.perf_counter()
        outputs = library.generate(prompts, limits, use_tqdm=False)
        seconds = time.perf_counter() - began
        written = sum(len(output.outputs[0].token_ids) for output in outputs)
        return {"tokens": sum(len(one.tokens) for one in requests) + written, "seconds": seconds}

    def turn(kind: str, number: int) -> Answer:
        library.reset_prefix_cache()
        evaluation = evaluation_of(tasks, attempts, number)
        if kind == "bare":
            return bare(evaluation)
        return answered([job_of(folder, evaluation)], engine, tokenizer)

    return turn


def generate_side(tasks: Sequence[Task], attempts: int) -> Callable[[str, int], Answer]:
    """Transformers on the same prompts, made before the clock runs."""
    import torch

    from core.prompts.vocabulary import load_tokenizer
    from core.storage.models import load_model

    tokenizer = load_tokenizer(MODEL)
    model = load_model(MODEL, dtype=torch.float32).eval()
    end, pad = int(tokenizer.eos_token_id), int(tokenizer.pad_token_id)

    def answer_batch(prompts: list[list[int]]) -> int:
        longest = max(map(len, prompts))
        rows = torch.tensor([[pad] * (longest - len(one)) + one for one in prompts])
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts])
        with torch.inference_mode():
            output = model.generate(
                input_ids=rows,
                attention_mask=mask,
                max_new_tokens=ANSWER_TOKENS,
                do_sample=False,
                use_cache=True,
                eos_token_id=end,
                pad_token_id=pad,
            )
        written = output[:, longest:].tolist()
        return sum(one.index(end) + 1 if end in one else len(one) for one in written)

    def turn(kind: str, number: int) -> Answer:
        questions = questions_of(evaluation_of(tasks, attempts, number), tokenizer)
        prompts = sorted((one.request.tokens for one in questions if one.request), key=len)
        size = int(kind)
        began = time.perf_counter()
        written = sum(answer_batch(prompts[at : at + size]) for at in range(0, len(prompts), size))
        seconds = time.perf_counter() - began
        return {"tokens": sum(map(len, prompts)) + written, "seconds": seconds}

    return turn


def by_adapters(folder: Path, tasks: Sequence[Task], attempts: int, adapters: Sequence[Path]) -> Answer:
    """One engine that serves the adapters, each answering all tasks."""
    from core.inference.engines import open_engine
    from core.prompts.vocabulary import load_tokenizer

    evaluations = [evaluation_of(tasks, attempts, 0, number) for number, _ in enumerate(adapters)]
    engine = open_engine(evaluations[0].settings, MODEL, adapters)
    jobs = [job_of(folder, one, adapter) for one, adapter in zip(evaluations, adapters, strict=True)]
    return answered(jobs, engine, load_tokenizer(MODEL))


def main(side: str, place: str, data: str, count: str, attempts: str, *adapters: str) -> None:
    """Answer on the standard output that this process was given; what libraries print goes to the errors."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    folder, tasks = Path(place), prepared(Path(data))[: int(count)]
    if side == "adapters":
        print(json.dumps(by_adapters(folder, tasks, int(attempts), list(map(Path, adapters)))), file=channel)
        return
    turn = (
        engine_side(folder, tasks, int(attempts)) if side == "engine" else generate_side(tasks, int(attempts))
    )
    print(json.dumps({"ready": True}), file=channel, flush=True)
    for line in sys.stdin:
        kind, number = line.split()
        print(json.dumps(turn(kind, int(number))), file=channel, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
