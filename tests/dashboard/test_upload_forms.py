"""Forms for what people have already: their names outlive a visit elsewhere and go when they were used."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.synthetic.experiments import make_experiment

SECONDS = 60


def pages() -> None:
    """The forms, and another page."""
    import streamlit as st

    from dashboard.components.draft_field import forget
    from dashboard.components.flag_upload import flag_files
    from dashboard.components.prediction_upload import prediction_upload
    from dashboard.components.score_upload import score_upload
    from dashboard.root import project_root

    if st.button("imported", key="imported"):
        forget("scores name", "predictions experiment")
        st.rerun()
    if not st.toggle("elsewhere", key="elsewhere"):
        score_upload(project_root())
        prediction_upload(project_root())
        flag_files(project_root(), ["toy/evaluation"])


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("ARC_WORKBENCH_ROOT", str(tmp_path))
    make_experiment(tmp_path, runs=1, evaluations=1, tasks=2)
    return AppTest.from_function(pages).run(timeout=SECONDS)


def texts(page: AppTest) -> dict[str, str | None]:
    return {field.label: field.value for field in page.text_input}


def test_names_outlive_a_visit_to_another_page(page: AppTest) -> None:
    typed = {
        "name of the experiment": "printed",
        "experiment": "guesses",
        "variant": "theirs",
        "what is judged": "symmetric",
    }
    for label, text in typed.items():
        next(field for field in page.text_input if field.label == label).set_value(text)
    page.run(timeout=SECONDS)
    page.toggle(key="elsewhere").set_value(True).run(timeout=SECONDS)
    assert not page.text_input
    page.toggle(key="elsewhere").set_value(False).run(timeout=SECONDS)
    assert texts(page) == typed and not page.exception


def test_names_that_were_used_are_not_those_of_the_next_file(page: AppTest) -> None:
    for key in ("scores name", "predictions experiment", "predictions variant"):
        page.text_input(key=key).set_value("first")
    page.run(timeout=SECONDS)
    page.button(key="imported").click().run(timeout=SECONDS)
    assert texts(page) == {
        "name of the experiment": "", "experiment": "", "variant": "first", "what is judged": "reversible",
    }  # fmt: skip
    page.text_input(key="scores name 2").set_value("second").run(timeout=SECONDS)
    page.run(timeout=SECONDS)
    assert texts(page)["name of the experiment"] == "second"
