"""New experiments to begin with: the questions that people ask oftenest, as drafts to be changed.

A template takes base model, sources and evaluation from a spec at hand and asks its own question of them.
"""

from collections.abc import Callable
from pathlib import Path

from core.curation.sources import list_sources
from core.plain_files import read_text
from core.specs.draft import Data, data_of, sources_of, with_sources, with_value
from core.specs.edit import as_yaml
from core.specs.spec import find_spec

BASELINE = "plain"


def _blank(root: Path, data: Data) -> Data:  # noqa: ARG001 - all templates are called alike
    return {**data, "question": "", "variants": {BASELINE: {}}}


def _source(root: Path, data: Data) -> Data:
    shares = sources_of(data, None)
    held = {str(share.get("source")) for share in shares} | set(evaluated(data))
    other = next((one.source for one in list_sources(root) if one.source not in held), "")
    question = f"Does {other or 'this source'} help?"
    found = {**data, "question": question, "variants": {BASELINE: {}, "with-it": {}}}
    return with_sources(found, "with-it", [*shares, {"source": other or "the-source"}])


def _noise(root: Path, data: Data) -> Data:  # noqa: ARG001 - all templates are called alike
    question = "How much do equal trainings of my recipe differ?"
    seeds = {"train_seeds": [0, 1, 2, 3, 4], "eval_seeds": [0, 1]}
    return {**data, "question": question, "variants": {BASELINE: {}}, **seeds}


def _with_test_time(root: Path, data: Data) -> Data:  # noqa: ARG001 - all templates are called alike
    demos = [{"source": f"demos:{source}", "evaluated_only": True} for source in evaluated(data)]
    question = "Does training on the demonstrations of the evaluated tasks help?"
    found = {**data, "question": question, "variants": {BASELINE: {}, "test-time": {}}}
    return with_sources(found, "test-time", [*sources_of(data, None), *demos])


TEMPLATES: dict[str, Callable[[Path, Data], Data]] = {
    "blank": _blank,
    "does this source help?": _source,
    "how noisy is my recipe?": _noise,
    "test-time training or not": _with_test_time,
}


def evaluated(data: Data) -> list[str]:
    """The sources that a spec evaluates."""
    listed = (data.get("evaluation") or {}).get("sources") or []
    return [str(share.get("source")) for share in listed if isinstance(share, dict)]


def from_template(root: Path, template: str, name: str, like: str) -> str:
    """The text of a new draft with base model, sources and evaluation of the spec `like`.

    Raises `UserError` where that spec is absent or no YAML.
    """
    data = data_of(read_text(find_spec(root, like)))
    found = TEMPLATES[template](root, {**data, "baseline": BASELINE})
    return as_yaml(with_value(found, ("name",), name))


def copy_of(text: str, name: str) -> str:
    """The text of a spec under another name."""
    return as_yaml(with_value(data_of(text), ("name",), name))
