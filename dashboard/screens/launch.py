"""Launch: what will run, what will it cost? The chosen spec as a form and as YAML, its cost beside it."""

import functools
from typing import Any

import streamlit as st

from core.errors import UserError
from core.experiments.clone import free_name
from core.monitoring.overview import launched_experiments
from core.preflight.cautions import cautions_of
from core.reports.variant_styles import variant_colours
from core.specs.differing_settings import differences
from core.specs.draft import Data, data_of, keep_draft, list_drafts, with_value
from core.specs.draft_problems import Problem, problems
from core.specs.edit import write_example
from core.specs.spec import ExperimentSpec, list_specs, spec_from_text
from core.specs.templates import TEMPLATES, copy_of, from_template
from dashboard.components import spec_form
from dashboard.components.experiment_choice import chosen_experiment
from dashboard.components.launch_card import differences_table
from dashboard.components.launch_cost import cost
from dashboard.components.launch_draft import change, draft, forget, keep, text_on_disk
from dashboard.components.launch_start import needs, start
from dashboard.components.picker import NotThereError, choose, chooses, say_not_there
from dashboard.components.rights import attempt, may_change, permitted
from dashboard.components.settings_form import field_widget, settings_form
from dashboard.components.widget_state import is_entry, put_value
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()

FIRST = "demo"
COPY = "a copy"
EDITOR_HEIGHT = 480


def change_one(name: str, key: tuple[str, ...], value: Any) -> None:
    """Change one setting of the draft."""
    change(root, name, lambda data: with_value(data, key, value))


def form(name: str, data: Data, found: list[Problem], spec: ExperimentSpec | None) -> None:
    """Question and seeds, variants and sources as tables, and folded away what variants share."""
    take = functools.partial(change, root, name)
    spec_form.heads(data, found, take)
    spec_form.variants_table(data, found, take)
    spec_form.sources_table(root, data, found, take)
    if spec is None:
        st.caption("All other settings follow once the draft is right.")
        return
    colours = variant_colours(list(spec.variants), spec.baseline)
    with st.expander("What differs between the variants, all in all"):
        st.html(differences_table(differences(spec), spec.baseline, colours))
    common_settings(spec, functools.partial(change_one, name))


def common_settings(spec: ExperimentSpec, changed: Any) -> None:
    """What the variants share, in four tabs."""
    common = spec.recipe_of(spec.baseline)
    with st.expander("Common settings"):
        training, inference, mixture, prompt = st.tabs(["Training", "Inference", "Data", "Prompt"])
        with training:
            field_widget(
                type(common).model_fields["base_model"], common.base_model, ("recipe", "base_model"), changed
            )
            settings_form(common.training, ("recipe", "training"), changed)
        with inference:
            settings_form(spec.evaluation.inference, ("evaluation", "inference"), changed)
        with mixture:
            settings_form(common.mixture, ("recipe", "mixture"), changed)
        with prompt:
            settings_form(common.prompt, ("recipe", "prompt"), changed)
        st.caption("Shown for the baseline; a variant that differs keeps its own value.")


def new_experiment(names: list[str], shown: str) -> None:
    """A new draft: blank, from a template, or a copy of another spec; first that of the one shown."""
    with st.popover(
        "New experiment",
        icon=":material/add:",
        width="stretch",
        disabled=not may_change(),
        key=f"new experiment beside {shown}",  # closed once there is one, which it would cover
    ):
        kind = st.selectbox("begin with", [*TEMPLATES, COPY], key="new kind")
        words = "copy of" if kind == COPY else "base model, sources and evaluation of"
        like = st.selectbox(words, names, names.index(shown), key=f"new like {shown}")
        name = st.text_input(
            "name of the new experiment", value=free_name(root, like or FIRST), key=f"new name like {like}"
        )

        def begin() -> None:
            made = copy_of(draft(root, like), name) if kind == COPY else from_template(root, kind, name, like)
            if name in names or name in launched_experiments(root):
                raise UserError(f"'{name}' is taken. Choose another name.")
            keep_draft(root, name, made)

        if st.button("Begin", type="primary", key="begin") and attempt(begin):
            chooses("spec")(name, None)
            st.rerun()


def editor(name: str, text: str) -> None:
    """The spec as YAML text."""
    key = f"yaml:{name}"
    put_value(key, text)

    def take() -> None:
        if is_entry(key):
            keep(root, name, st.session_state[key])

    st.html("<style>.st-key-yaml textarea { font-family: monospace; font-size: 0.85rem; }</style>")
    with st.container(key="yaml"):
        st.text_area(
            "YAML",
            text,
            key=key,
            height=EDITOR_HEIGHT,
            label_visibility="collapsed",
            on_change=take,
        )
    st.caption("Checked when you leave the field or press Ctrl+Enter.")


def page() -> None:
    """The chosen draft as a form and as text, and beside it what it will cost."""
    names = list(dict.fromkeys([*list_specs(root), *list_drafts(root)]))
    if not names:
        empty()
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        box, button = st.columns(2, vertical_alignment="bottom")
        with box:
            mine = chosen_experiment(root)
            first = next((name for name in (mine, FIRST) if name in names), names[0])
            name = choose("spec", "spec", names, first)
        with button:
            new_experiment(names, name)
    text = draft(root, name)
    data, found, spec = read(text)
    with left:
        settings, yaml_text = st.tabs(["Settings", "YAML"])
        with settings:
            if data is None:
                st.info("The text is no YAML, so the form can't show it. Correct it under YAML.")
            else:
                form(name, data, found, spec)
        with yaml_text:
            editor(name, text)
    with right:
        beside(name, text, found, spec)


def read(text: str) -> tuple[Data | None, list[Problem], ExperimentSpec | None]:
    """The data of a draft, what is wrong with it, and the spec where nothing is."""
    try:
        data = data_of(text)
    except UserError as problem:
        return None, [Problem("", str(problem))], None
    found = problems(root, data)
    return data, found, None if found else spec_from_text(text, "The spec")


def beside(name: str, text: str, found: list[Problem], spec: ExperimentSpec | None) -> None:
    """What is wrong, else what it costs and the button that launches it."""
    edited = text != text_on_disk(root, name)
    if st.button("Discard changes", type="tertiary", icon=":material/undo:", disabled=not edited):
        forget(root, name)
        st.rerun()
    if spec is None:
        st.error("\n\n".join(plain(one.sentence) for one in found))
        return
    try:
        if not needs(root, spec):
            for sentence in cautions_of(root, spec):
                st.warning(plain(sentence))
            forbidden = cost(root, spec, functools.partial(change_one, name))
            start(root, name, spec, text, forbidden=forbidden)
    except UserError as problem:
        st.error(plain(problem))


def empty() -> None:
    """What to do while there is no spec."""
    st.subheader("No spec yet")
    st.write(
        "A spec says which variants are trained, with which seeds, and what they are evaluated on."
        " Specs are YAML files in data/experiments."
    )
    if st.button("Start with an example", type="primary", disabled=not may_change()):
        permitted(write_example, root)
        st.rerun()


try:
    page()
except NotThereError as problem:
    say_not_there(problem)
