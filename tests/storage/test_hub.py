"""A base model that is no folder is looked for on the hub before anything is launched."""

import itertools

import pytest

from core.errors import UserError
from core.preflight.missing import needs_of
from core.specs.spec import checked_spec
from core.storage import hub
from tests.training.tiny import tiny_root, tiny_spec


class Hub:
    """A hub that knows one model."""

    def model_info(self, name: str, timeout: float) -> None:
        if name != "org/known":
            raise ConnectionError(f"{name} after {timeout} s")


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    hub._problem.cache_clear()


def test_a_wrong_path_is_found_before_the_launch(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tiny_root(tmp_path_factory.mktemp("root"), model=False)
    for name, count in (("models/tinny", 1), ("org/known", 0)):
        recipe = {"base_model": name, "mixture": {"sources": [{"source": "toy"}]}}
        needs = needs_of(root, checked_spec(tiny_spec(recipe=recipe), "trial"))
        assert len(needs) == count
        assert all(f"There is no folder '{name}' with a base model" in need.sentence for need in needs)


@pytest.mark.parametrize("name", ["models/tinny", "a/b c", "org/..", "é/x"])
def test_no_model_of_that_name_is_one_sentence(name: str) -> None:
    with pytest.raises(UserError, match=r"Correct base_model\.$"):
        hub.check_hub_model(name)


def test_an_answer_is_kept_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()
    monkeypatch.setattr(Hub, "model_info", lambda *_, **__: next(calls))
    for _ in range(3):
        hub.check_hub_model("org/other")
    assert next(calls) <= 2
