"""Before a launch: drafts of specs, what differs, what is missing, and what it will cost."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import UserError
from core.launching.launch import runs_of
from core.preflight.cautions import cautions_of
from core.preflight.cost import Measured, bytes_needed, measured, seconds_needed, seconds_per_task
from core.preflight.missing import needs_of, provide
from core.preflight.size import Size, size_of
from core.runs.state import RunState, write_state
from core.specs.differing_settings import differences
from core.specs.edit import as_yaml, changed_text, save_spec, stands_in_the_way, write_example
from core.specs.spec import ExperimentSpec, list_specs, read_spec, spec_from_text
from core.storage.files import append_records, write_json
from core.storage.models import SHIPPED
from dashboard.components.launch_card import costs
from tests.training.tiny import tiny_root, tiny_spec


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny_root(tmp_path, model=False)


def text_of(**changes: Any) -> str:
    return as_yaml(tiny_spec(**changes))


def spec_of(**changes: Any) -> ExperimentSpec:
    return spec_from_text(text_of(**changes), "The spec")


def test_a_spec_is_written_as_it_is_read() -> None:
    data = tiny_spec(question="Größer ≠ besser?")
    assert yaml.safe_load(as_yaml(data)) == data
    assert "sources:\n    - {source: toy}\n" in as_yaml(data)


def test_one_key_changes_and_nothing_else() -> None:
    before, after = (
        spec_of(),
        spec_from_text(changed_text(text_of(), ("recipe", "training", "steps"), 9), "x"),
    )
    assert after.recipe_of("plain").training.steps == 9
    assert after.model_copy(update={"recipe": before.recipe}) == before
    back = changed_text(changed_text(text_of(), ("question",), "why"), ("question",), None)
    assert back == text_of()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (("recipe", "training", "steps"), 0, "greater than or equal to 1"),
        (("train_seeds",), [1, 1], "seeds are different"),
        (("name",), "../up", "should match pattern"),
    ],
)
def test_a_change_that_makes_no_spec_is_refused(key: tuple[str, ...], value: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        changed_text(text_of(), key, value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: [", "The spec is no valid YAML \\(line 1"),
        ("a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8)
        ), "more than 100,000 values"),
        ("a: &a [*a]", "nested more than 50 levels deep"),
        ("x" * 1_000_001, "longer than 1,000,000 characters"),
        (text_of() + "evalution: {}\n", "Did you mean 'evaluation'"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_spec_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        spec_from_text(text, "The spec")


def test_a_spec_is_kept_under_its_name_and_replaces_another_only_on_request(root: Path) -> None:
    path = save_spec(root, "# mine\n" + text_of())
    assert list_specs(root) == ["trial"]
    assert save_spec(root, text_of()) == path
    assert path.read_text().startswith("# mine\n")
    other = text_of(question="Another?")
    assert stands_in_the_way(root, spec_from_text(other, "x"))
    with pytest.raises(UserError, match="holds another spec"):
        save_spec(root, other)
    assert read_spec(path).question == ""
    save_spec(root, other, replace=True)
    assert read_spec(path).question == "Another?"


def test_the_example_is_the_spec_that_ships(tmp_path: Path) -> None:
    assert write_example(tmp_path) == tmp_path / "data" / "experiments" / "demo.yaml"
    assert list_specs(tmp_path) == ["demo"]


def test_differences_are_the_settings_of_the_variants() -> None:
    longer = {"training": {"steps": 12}, "mixture": {"sources": [{"source": "toy", "max_cells": 9}]}}
    found = differences(spec_of(variants={"plain": None, "longer": longer}))
    assert {one.key: one.values for one in found} == {
        "mixture.sources": {"plain": "toy", "longer": "toy (max cells 9)"},
        "training.steps": {"plain": "6", "longer": "12"},
    }
    assert found[-1].description == "Optimizer steps."
    assert differences(spec_of()) == []


def test_what_is_missing_is_named_with_the_verb_that_provides_it(root: Path) -> None:
    sources = [{"source": "toy"}, {"source": "reversed:arc1/training"}, {"source": "elsewhere"}]
    recipe = {**tiny_spec()["recipe"], "mixture": {"sources": sources}}
    needs = needs_of(root, spec_of(recipe=recipe))
    assert [(need.name, need.verb) for need in needs] == [
        ("arc1/training", ("data", "import", "arc1")),
        ("elsewhere", ()),
        ("tiny", ("model", "init", "tiny")),
    ]
    assert needs[0].action == "Import arc1"


def test_a_start_model_of_pairs_is_made_for_its_canvas(root: Path) -> None:
    prompt = {"template": "pair", "encoding": {"canvas": 6}}
    recipe = {**tiny_spec()["recipe"], "base_model": "start", "prompt": prompt}
    (need,) = needs_of(root, spec_of(recipe=recipe))
    assert need.verb[:7] == ("model", "init", "start", "--hidden-size", "96", "--heads", "3")
    assert need.verb[-6:] == ("--positions", "grid", "--canvas", "6", "--context", "512")
    provide(root, need)
    assert needs_of(root, spec_of(recipe=recipe)) == []


def test_a_need_is_provided_by_its_verb(root: Path) -> None:
    evaluation = {**tiny_spec()["evaluation"], "sources": [{"source": "arc1/evaluation", "max_cells": 60}]}
    (need, _) = needs_of(root, spec_of(evaluation=evaluation))
    provide(root, need)
    assert [one.name for one in needs_of(root, spec_of(evaluation=evaluation))] == ["tiny"]


def test_prompts_that_a_base_model_was_not_trained_on_are_cautioned(root: Path) -> None:
    same = {"prompt": {"encoding": {"shape_header": True, "row_numbers": True}}}
    chat = {"prompt": {"encoding": {"cell_separator": "space"}, "template": "chat"}}
    recipe = {**tiny_spec()["recipe"], "base_model": "arc-tiny"}
    spec = spec_of(recipe=recipe, variants={"plain": None, "same": same, "chat": chat})
    assert cautions_of(root, spec) == [
        "'arc-tiny' was trained on prompts of rows with shape_header and row_numbers, and here they are"
        f" {here}: its answers will be worth little. Set prompt as it was."
        for here in ("plain rows", "rows with cell_separator space in the chat template")
    ]
    (root / "data" / "models" / "other").mkdir(parents=True)
    shipped = SHIPPED / "arc-tiny"
    for path in shipped.iterdir():
        (root / "data" / "models" / "other" / path.name).write_bytes(path.read_bytes())
    (root / "data" / "models" / "other" / "prompt.json").write_text('{"encoding": 3}')
    assert cautions_of(root, spec_of(recipe={**recipe, "base_model": "other"})) == []


def test_samples_and_prompts_longer_than_a_base_model_reads_are_cautioned(root: Path) -> None:
    prompt = {"encoding": {"shape_header": True, "row_numbers": True}}
    training = {**tiny_spec()["recipe"]["training"], "max_seq_len": 9000}
    recipe = {**tiny_spec()["recipe"], "base_model": "arc-tiny", "prompt": prompt, "training": training}
    evaluation = {**tiny_spec()["evaluation"], "inference": {"max_model_len": 5000}}
    found = cautions_of(root, spec_of(recipe=recipe, evaluation=evaluation))
    assert found == [
        "'arc-tiny' reads 4,096 tokens, but inference.max_model_len is 5,000. Lower it to 4096.",
        "'arc-tiny' reads 4,096 tokens, but training.max_seq_len is 9,000. Lower it to 4096.",
    ]
    untrained = {**recipe, "training": {"method": "none", "max_seq_len": 9000}}
    assert len(cautions_of(root, spec_of(recipe=untrained, evaluation=evaluation))) == 1


def test_the_size_is_counted_on_the_real_tasks(root: Path) -> None:
    spec = spec_of(train_seeds=[0, 1, 2], variants={"plain": None, "longer": {"training": {"steps": 12}}})
    size = size_of(root, spec)
    assert (size.runs, size.tasks, size.outputs, size.attempts) == (6, 4, 5, 5 * 3 * 2 * 6)
    # All toy grids are 2 × 3: I, two rows of three digits and an end of line each, O, the same again.
    one_pair = 2 * (1 + 3 + 1 + 3 + 1)
    assert size.inference_tokens == size.attempts * 3 * one_pair
    # In training they are turned at times, which moves the ends of the lines.
    assert size.training_tokens == pytest.approx(3 * (6 + 12) * 4 * 3 * one_pair, rel=0.11)


def test_what_does_not_fit_is_not_counted(root: Path) -> None:
    short = {**tiny_spec()["evaluation"], "inference": {"max_model_len": 32}}
    assert size_of(root, spec_of(evaluation=short)).inference_tokens == 0
    recipe = {**tiny_spec()["recipe"], "training": {"max_seq_len": 16}}
    with pytest.raises(UserError, match="max_seq_len 16"):
        size_of(root, spec_of(recipe=recipe))


def finished_run(root: Path, spec: ExperimentSpec, speed: float) -> None:
    """Folders of finished runs that reported what a test says."""
    for run in runs_of(root, spec):
        (root / "runs" / spec.name).mkdir(parents=True, exist_ok=True)
        (root / "runs" / spec.name / "experiment.yaml").write_text(text_of(name=spec.name))
        recipe = spec.recipe_of(run.variant).model_dump(mode="json")
        evaluation = spec.evaluation.model_dump(mode="json")
        write_json(run.folder / "run.json", {"recipe": recipe, "evaluation": evaluation})
        write_state(run, RunState("done"))
        train = [
            {"time": 100.0 + n, "stage": "train", "step": n, "tokens_per_second": speed} for n in range(3)
        ]
        infer = [{"time": 112.0, "stage": "infer", "step": 1, "tokens_per_second": 10 * speed}]
        score = [{"time": 120.0, "stage": "score", "step": 1, "total": 1}]
        append_records(run.folder / "progress.jsonl", [*train, *infer, *score])


def test_time_and_disk_come_from_earlier_runs_or_are_unknown(root: Path) -> None:
    spec = spec_of()
    size = Size(runs=2, tasks=4, outputs=5, attempts=60, training_tokens=1000, inference_tokens=4000)
    assert measured(root, spec) == Measured()
    assert seconds_needed(size, Measured()) is None
    assert bytes_needed(size, Measured()) is None
    finished_run(root, spec_of(name="earlier"), 50.0)
    finished_run(root, spec_of(name="later"), 150.0)
    other = {**tiny_spec()["recipe"], "base_model": "other"}
    finished_run(root, spec_of(name="elsewhere", recipe=other), 9e9)
    known = measured(root, spec)
    assert (known.runs, known.training_speed, known.inference_speed) == (2, 100.0, 1000.0)
    assert known.starts == {"infer": 10.0, "score": 8.0}  # a training starts as answering does
    assert seconds_needed(size, known) == 2 * (10 + 10 + 8) + 1000 / 100 + 4000 / 1000
    folder = root / "runs" / "later" / "plain" / "train-0"
    kept = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert bytes_needed(size, known) == pytest.approx(2 * kept, rel=0.05)


def test_time_comes_from_runs_of_this_size_and_machine(root: Path) -> None:
    spec = spec_of(variants={"plain": None})
    recipe = tiny_spec()["recipe"]

    def of_size(samples: int) -> dict[str, Any]:
        return {**recipe, "training": {**recipe["training"], "samples_per_step": samples}}

    finished_run(root, spec_of(name="large", recipe=of_size(4000), variants={"plain": None}), 900.0)
    finished_run(root, spec_of(name="small", variants={"plain": None}), 50.0)
    found = measured(root, spec)
    assert (found.training_speed, found.alike) == (50.0, True)
    rough = measured(root, spec_of(recipe=of_size(40_000), variants={"plain": None}))
    assert (rough.training_speed, rough.alike) == (475.0, False)
    record = root / "runs" / "small" / "plain" / "train-0" / "run.json"
    write_json(record, {**json.loads(record.read_text()), "hardware": {"processor": "another one"}})
    assert measured(root, spec).training_speed != 50.0


def test_a_run_that_waited_for_others_does_not_start_slowly(root: Path) -> None:
    spec = spec_of(name="both", train_seeds=[0, 1], variants={"plain": None})
    finished_run(root, spec, 50.0)
    waited = root / "runs" / "both" / "plain" / "train-0" / "progress.jsonl"
    lines = [json.loads(line) for line in waited.read_text().splitlines()]
    later = [{**one, "time": one["time"] + 900 * (one["stage"] != "train")} for one in lines]
    waited.write_text("".join(f"{json.dumps(one)}\n" for one in later))
    assert measured(root, spec_of()).starts == {"infer": 10.0, "score": 8.0}


def test_answers_are_timed_from_their_first_report_and_a_training_from_the_launch(root: Path) -> None:
    spec = spec_of(variants={"plain": None})
    finished_run(root, spec, 50.0)
    folder = root / "runs" / "trial" / "plain" / "train-0"
    answered = [(112.0, 0, 100), (113.0, 1, 50), (117.0, 0, 1100), (122.0, 1, 1150)]
    train = [{"time": 100.0 + n, "stage": "train", "step": n, "tokens_per_second": 50.0} for n in range(3)]
    infer = [
        {
            "time": time,
            "stage": "infer",
            "step": 1,
            "eval_seed": seed,
            "tokens": tokens,
            "tokens_per_second": 9.0,
        }
        for time, seed, tokens in answered
    ]
    (folder / "progress.jsonl").unlink()
    append_records(folder / "progress.jsonl", [*train, *(one | {"step": n} for n, one in enumerate(infer))])
    record = json.loads((folder / "run.json").read_text())
    write_json(folder / "run.json", {**record, "created": "1970-01-01T00:01:30+0000"})
    known = measured(root, spec)
    assert known.inference_speed == (1100 + 1150 - 100) / 10
    assert known.starts == {"train": 9.0, "infer": pytest.approx(10 - 10 / 3)}
    size = Size(runs=3, tasks=4, outputs=5, attempts=60, training_tokens=500, inference_tokens=2150)
    one_by_one = 3 * sum(known.starts.values()) + 10 + 10
    assert seconds_needed(size, known) == pytest.approx(one_by_one)
    assert seconds_needed(size, known, 2) == pytest.approx(one_by_one * 2 / 3), "two, then the third"


def test_a_search_has_no_time_and_measures_none(root: Path) -> None:
    """How many requests it takes is known once the model has answered; the page says so."""
    evaluation = tiny_spec()["evaluation"]
    searching = {**evaluation, "inference": {**evaluation["inference"], "search": {"min_probability": 0.1}}}
    metrics = ["found"]
    spec = spec_of(evaluation=searching, metrics=metrics)
    finished_run(root, spec_of(name="plain"), 50.0)
    size, known = size_of(root, spec), Measured(1, 50.0, None, 500.0, {"infer": 10.0})
    assert size.searches and measured(root, spec) == Measured()
    assert seconds_needed(size, known) is None and seconds_per_task(size, known) is None
    assert seconds_needed(replace(size, searches=False), known) is not None
    card = costs(size, known, None, None, 10**9)
    assert "a search asks as often as answers branch" in card and "searched views" in card
    finished_run(root, spec_of(name="searched", evaluation=searching, metrics=metrics), 70.0)
    assert (measured(root, spec).training_speed, measured(root, spec_of()).training_speed) == (70.0, 50.0)


def test_a_broken_record_is_no_measurement(root: Path) -> None:
    finished_run(root, spec_of(name="earlier"), 50.0)
    record = root / "runs" / "earlier" / "plain" / "train-0" / "run.json"
    record.write_text(json.dumps({"recipe": []}))
    assert measured(root, spec_of()) == Measured()


def test_test_time_training_counts_in_seconds_per_task_and_in_all(root: Path) -> None:
    """A group for each task, 3 steps of 2 samples; or a budget of 5 s for each task."""
    by_steps = {"test_time": {"steps": 3, "samples_per_step": 2}}
    budget = {"test_time": {"seconds_per_task": 5}}
    plain = size_of(root, spec_of(train_seeds=[0, 1]))
    steps = size_of(root, spec_of(train_seeds=[0, 1], variants={"plain": None, "with": by_steps}))
    timed = size_of(root, spec_of(train_seeds=[0, 1], variants={"plain": None, "with": budget}))
    assert (plain.adapting_runs, plain.adaptation_tokens, plain.adaptation_seconds) == (0, 0, 0.0)
    assert (steps.adapting_runs, steps.adaptation_seconds) == (2, 0.0)
    learned = 3  # the pairs of one task equal test pairs
    samples = 2 * learned * 3 * 2  # runs × groups × steps × samples
    assert samples * 10 < steps.adaptation_tokens < samples * 128  # none is longer than max_seq_len
    assert (timed.adaptation_tokens, timed.adaptation_seconds) == (0, 2 * learned * 5.0)
    loads = {"infer": 9.0, "score": 9.0}  # training and adapting load the model as answering does
    known = Measured(1, 100.0, 50.0, 1000.0, loads, None)
    starts = (4 * 3 + 2) * 9.0
    rest = timed.training_tokens / 100 + timed.inference_tokens / 1000
    assert seconds_needed(timed, known) == pytest.approx(starts + rest + 30)
    inference = timed.inference_tokens / 1000 / timed.runs / timed.tasks
    assert seconds_per_task(timed, known) == pytest.approx(5.0 * learned / 4 + inference)
    assert seconds_per_task(steps, known) == pytest.approx(
        inference + steps.adaptation_tokens / 50 / 2 / steps.tasks
    )
    unmeasured = Measured(1, 100.0, None, 1000.0, loads, None)  # as fast as the training, until it is known
    assert seconds_needed(steps, unmeasured) is not None
    assert seconds_per_task(timed, Measured()) is None
