"""A base model that changes after the launch is another one: nothing goes on with it or is taken over."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.experiments.launched_experiment import LaunchedExperiment
from core.experiments.provenance import add_to_record
from core.launching.launch import prepare
from core.pipeline.shared_engine import check_trained_prompts
from core.prompts.template_checks import prompts_fingerprint
from core.prompts.vocabulary import load_tokenizer
from core.runs.fingerprints import train_fingerprint
from core.runs.layout import Run
from core.runs.run_record import read_record
from tests.specs.tiny import spec_of


def template(root: Path, text: str) -> None:
    (root / "data" / "models" / "tiny" / "chat_template.jinja").write_text(text)


def test_a_template_that_changes_after_the_launch_stops_every_stage(root: Path, run: Run) -> None:
    experiment = LaunchedExperiment.of(run)
    experiment.check_data(run, "train")
    template(root, "{{ messages }}")
    for stage in ("train", "infer"):
        with pytest.raises(UserError, match="chat template or settings of tiny changed since the launch"):
            experiment.check_data(run, stage)  # type: ignore[arg-type]


def test_another_template_is_another_work(root: Path, run: Run) -> None:
    before = train_fingerprint(read_record(run))
    template(root, "{{ messages }}")
    (other,) = prepare(root, spec_of(root, name="again"), ["launch"])
    assert train_fingerprint(read_record(other)) != before


def test_prompts_must_be_those_of_the_training(root: Path, run: Run) -> None:
    experiment = LaunchedExperiment.of(run)
    tokenizer = load_tokenizer(str(root / "data" / "models" / "tiny"))
    check_trained_prompts(experiment, run, tokenizer)
    prompt = experiment.recipe_of(run).prompt
    add_to_record(run, training={"prompts": prompts_fingerprint(tokenizer, prompt)})
    check_trained_prompts(experiment, run, tokenizer)
    add_to_record(run, training={"prompts": "others"})
    with pytest.raises(UserError, match="are not those that it was trained on"):
        check_trained_prompts(experiment, run, tokenizer)
