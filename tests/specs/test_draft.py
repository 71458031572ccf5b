"""A draft takes what is typed, says where it is wrong, and comes back; its comments stay."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from core.curation.stored import SourceInfo, store_source
from core.errors import UserError
from core.specs.draft import (
    EVALUATED,
    data_of,
    drop_draft,
    keep_draft,
    list_drafts,
    parse_seeds,
    read_draft,
    seeds_text,
    sources_of,
    text_with,
    variant_rows,
    with_sources,
    with_value,
    with_variant_rows,
)
from core.specs.draft_problems import problems
from core.specs.spec import checked_spec
from core.specs.templates import TEMPLATES, copy_of, from_template
from core.yaml_text import parse_yaml
from tests.training.tiny import copy_task

TEXT = """# by hand
name: trial
question: Do more steps help?  # ask
baseline: plain
train_seeds: [0, 1]
evaluation:
  sources:
  - source: toy
# what all share
recipe:
  base_model: tiny
  mixture:
    sources:
    - {source: toy, weight: 2}
variants:
  plain:
  longer:
    training: {steps: 12}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store_source(tmp_path, SourceInfo("toy", "made up", "1", "none", "0"), [copy_task(0)])
    return tmp_path


@given(some.sets(some.integers(0, 60), min_size=1, max_size=20))
def test_seeds_come_back_as_they_were_written(seeds: set[int]) -> None:
    assert parse_seeds(seeds_text(sorted(seeds))) == sorted(seeds)


@pytest.mark.parametrize(
    ("text", "seeds"), [("0-4", [0, 1, 2, 3, 4]), ("5x", [0, 1, 2, 3, 4]), ("0, 2,7-8", [0, 2, 7, 8])]
)
def test_seeds_are_ranges_lists_and_counts(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "4-1", "1, 1", "0-99999", "-1", "0;1"])
def test_what_is_no_seed_is_a_sentence(text: str) -> None:
    with pytest.raises(UserError):
        parse_seeds(text)


def test_a_change_leaves_what_stands_beside_it_as_it_was_written() -> None:
    text = text_with(TEXT, with_value(data_of(TEXT), ("train_seeds",), [0, 1, 2]))
    assert text == TEXT.replace("[0, 1]", "[0, 1, 2]")
    text = text_with(TEXT, with_value(data_of(TEXT), ("recipe", "base_model"), "other"))
    assert "# by hand" in text and "# what all share" in text and "# ask" in text
    assert data_of(text)["recipe"]["base_model"] == "other"
    fresh = text_with(TEXT, {**data_of(TEXT), "eval_seeds": [3]})
    assert fresh == TEXT + "eval_seeds: [3]\n"


def test_a_draft_outlives_the_page(root: Path) -> None:
    assert read_draft(root, "trial") is None
    keep_draft(root, "trial", "half a [spec")
    assert read_draft(root, "trial") == "half a [spec" and list_drafts(root) == ["trial"]
    drop_draft(root, "trial")
    assert read_draft(root, "trial") is None
    with pytest.raises(UserError, match="can't name a spec"):
        keep_draft(root, "../trial", "")


def test_variants_are_rows_that_are_added_renamed_and_deleted() -> None:
    data = data_of(TEXT)
    keys, rows = variant_rows(data)
    assert keys == ["training.steps"]
    assert rows == [{"name": "plain", "training.steps": ""}, {"name": "longer", "training.steps": "12"}]
    assert with_variant_rows(data, rows)["variants"] == {"plain": {}, "longer": {"training": {"steps": 12}}}
    copied = [*rows, {"name": "longer", "origin": "longer", "training.steps": "[ no yaml"}]
    assert with_variant_rows(data, copied)["variants"]["longer-2"] == {"training": {"steps": "[ no yaml"}}
    renamed = [{**rows[0], "name": "base", "origin": "plain"}, rows[1]]
    found = with_variant_rows(data, renamed, {"plain": "base"})
    assert list(found["variants"]) == ["base", "longer"] and found["baseline"] == "base"


def test_sources_belong_to_all_or_to_one_variant() -> None:
    data = data_of(TEXT)
    assert sources_of(data, None) == [{"source": "toy", "weight": 2}] and sources_of(data, "longer") == []
    own = with_sources(data, "longer", [{"source": "toy", "weight": None}, {"source": ""}])
    assert sources_of(own, "longer") == [{"source": "toy"}]
    _, rows = variant_rows(own)
    assert with_variant_rows(own, rows)["variants"]["longer"] == own["variants"]["longer"]
    assert with_sources(own, "longer", [])["variants"]["longer"] == {"training": {"steps": 12}}


def test_a_mistake_is_shown_at_its_key_and_nothing_is_lost(root: Path) -> None:
    data = data_of(TEXT)
    assert problems(root, data) == []
    wrong = with_variant_rows(data, [{"name": "plain"}, {"name": "+mini-arc"}])
    (one,) = problems(root, wrong)
    assert one.key == "variants.+mini-arc" and "The variant '+mini-arc'" in one.sentence
    assert "+mini-arc" in parse_yaml(text_with(TEXT, wrong), "")["variants"]
    (one,) = problems(root, with_sources(data, None, [{"source": "toyy"}]))
    assert one.sentence == "There is no source 'toyy'. Did you mean 'toy'?"
    (one,) = problems(root, with_sources(data, EVALUATED, [{"source": "mini-arcs"}]))
    assert one.key == "evaluation.sources" and one.sentence.endswith("Did you mean 'mini-arc'?")
    assert problems(root, with_sources(data, None, [{"source": "mini-arc"}])) == []  # it can be imported
    (one,) = problems(root, with_value(data, ("train_seeds",), "0-2, x"))
    assert one.key == "train_seeds" and one.sentence.startswith("'x' is no seed.")
    assert problems(root, with_sources(data, None, [{"source": "reversed:demos:toy"}])) == []
    (one,) = problems(root, with_sources(data, None, [{"source": "drawn:reversed:toy"}]))
    assert one.key == "sources" and "goes with no other prefix" in one.sentence
    (one,) = problems(root, with_value(data, ("recipe", "training"), {"stepz": 1}))
    assert "Did you mean 'steps'?" in one.sentence
    assert problems(root, with_value(data, ("name",), "a b"))[0].key == "name"


def test_a_template_is_a_draft_with_the_recipe_of_a_spec(root: Path) -> None:
    folder = root / "data" / "experiments"
    folder.mkdir(parents=True)
    (folder / "trial.yaml").write_text(TEXT)
    assert len(TEMPLATES) == 4
    for template in TEMPLATES:
        data = data_of(from_template(root, template, "mine", "trial"))
        spec = checked_spec(data, template)
        assert spec.name == "mine" and spec.baseline in spec.variants
        assert spec.recipe_of(spec.baseline).base_model == "tiny"
    assert data_of(copy_of(TEXT, "mine")) == {**data_of(TEXT), "name": "mine"}
