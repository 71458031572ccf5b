"""Launch: what will run, what will it cost? The chosen spec as a form and as YAML, its cost beside it."""

import functools
import shutil
from collections.abc import Callable
from typing import Any

import streamlit as st

from core.checks.leak_warnings import no_leak_sentence, seen_label
from core.cluster.settings import ClusterSettings, cluster_of, options_of
from core.errors import UserError
from core.experiments.clone import free_name
from core.launching.launch import launch, leaks_of
from core.mixing.mixtures import Gate
from core.monitoring.overview import launched_experiments, overview
from core.plain_files import file_stamp, read_text
from core.preflight.cautions import cautions_of
from core.preflight.cost import Size, bytes_needed, measured, seconds_needed, seconds_per_task, size_of
from core.preflight.missing import needs_of, provide
from core.preflight.power import Detectable, detectable
from core.reports.figures import variant_colours
from core.settings import validated
from core.specs.differing_settings import differences
from core.specs.draft import (
    Data,
    Problem,
    data_of,
    drop_draft,
    keep_draft,
    list_drafts,
    problems,
    read_draft,
    text_with,
    with_value,
)
from core.specs.edit import save_spec, stands_in_the_way, write_example
from core.specs.spec import (
    ExperimentSpec,
    find_spec,
    list_specs,
    spec_from_text,
    specs_folder,
)
from core.specs.templates import TEMPLATES, copy_of, from_template
from dashboard.components import spec_form
from dashboard.components.experiment_choice import chosen_experiment
from dashboard.components.launch_card import costs, differences_table
from dashboard.components.leak_notice import leak_notice, seen_notice
from dashboard.components.picker import NotThereError, choose, say_not_there
from dashboard.components.rights import attempt, may_change, permitted, rights
from dashboard.components.settings_form import field_widget, settings_form
from dashboard.components.shown import is_entry, put_value
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()

FIRST = "demo"
HERE, ON_RAY = "this machine", "Ray cluster"
DRAFTS = "launch drafts"
COPY = "a copy"
EDITOR_HEIGHT = 480


def text_on_disk(name: str) -> str | None:
    """The spec as data/experiments holds it; None where there is only a draft."""
    if name not in list_specs(root):
        return None
    return read_text(find_spec(root, str(specs_folder(root) / f"{name}.yaml")))


def draft(name: str) -> str:
    """The text as a person left it, here or on another page, else as it lies on disk."""
    found = read_draft(root, name) if may_change() else st.session_state.setdefault(DRAFTS, {}).get(name)
    return (text_on_disk(name) or "") if found is None else str(found)


def keep(name: str, text: str) -> None:
    """Keep the draft, also for a page that is loaded anew; who may not change anything keeps it here."""
    if may_change():
        attempt(keep_draft, root, name, text)
    else:
        st.session_state.setdefault(DRAFTS, {})[name] = text


def forget(name: str) -> None:
    """Let the spec on disk hold again."""
    st.session_state.setdefault(DRAFTS, {}).pop(name, None)
    for key in [key for key in st.session_state if str(key).startswith("wrong:")]:
        del st.session_state[key]
    if may_change():
        permitted(drop_draft, root, name)


def change(name: str, edit: Callable[[Data], Data]) -> None:
    """Change the draft as it stands now, right or wrong."""
    text = draft(name)
    try:
        keep(name, text_with(text, edit(data_of(text))))
    except UserError as problem:
        st.toast(plain(problem), icon=":material/error:", duration="long")


def change_one(name: str, key: tuple[str, ...], value: Any) -> None:
    """Change one setting of the draft."""
    change(name, lambda data: with_value(data, key, value))


def form(name: str, data: Data, found: list[Problem], spec: ExperimentSpec | None) -> None:
    """Question and seeds, variants and sources as tables, and folded away what variants share."""
    take = functools.partial(change, name)
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
            evaluated = type(spec.evaluation).model_fields["sources"]
            field_widget(evaluated, spec.evaluation.sources, ("evaluation", "sources"), changed)
        with prompt:
            settings_form(common.prompt, ("recipe", "prompt"), changed)
        st.caption("Shown for the baseline; a variant that differs keeps its own value.")


def new_experiment(names: list[str]) -> None:
    """A new draft: blank, from a template, or a copy of another spec."""
    with st.popover("New experiment", icon=":material/add:", width="stretch", disabled=not may_change()):
        kind = st.selectbox("begin with", [*TEMPLATES, COPY], key="new kind")
        like = st.selectbox(
            "copy of" if kind == COPY else "base model, sources and evaluation of", names, key="new like"
        )
        name = st.text_input(
            "name of the new experiment", value=free_name(root, like or FIRST), key="new name"
        )

        def begin() -> None:
            made = copy_of(draft(like), name) if kind == COPY else from_template(root, kind, name, like)
            if name in names or name in launched_experiments(root):
                raise UserError(f"'{name}' is taken. Choose another name.")
            keep_draft(root, name, made)

        if st.button("Begin", type="primary", key="begin") and attempt(begin):
            st.query_params["spec"] = name
            st.rerun()


def editor(name: str, text: str) -> None:
    """The spec as YAML text."""
    key = f"yaml:{name}"
    put_value(key, text)

    def take() -> None:
        if is_entry(key):
            keep(name, st.session_state[key])

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


@st.cache_data(max_entries=32, show_spinner=False)
def size_and_leaks(spec_json: str, stamps: tuple[Any, ...]) -> tuple[Size, dict[str, Gate]]:
    spec = ExperimentSpec.model_validate_json(spec_json)
    return size_of(root, spec), leaks_of(root, spec)


def stamps_of_data() -> tuple[Any, ...]:
    """Changes when sources, partitions or flags do."""
    files = sorted(path for path in (root / "data").glob("*/**/*.json") if "models" not in path.parts)
    files += [path for path in [root / "data" / "flags.jsonl"] if path.exists()]
    return tuple((str(path), file_stamp(path)) for path in files)


@st.cache_data(max_entries=32, ttl=60, show_spinner=False)
def detectable_by(spec_json: str) -> Detectable | None:
    return detectable(root, ExperimentSpec.model_validate_json(spec_json))


def what_it_detects(spec: ExperimentSpec) -> str:
    """Which difference the launch will be able to show, or how to learn it."""
    found = detectable_by(spec.model_dump_json())
    if found is None:
        runs = "one run" if len(spec.train_seeds) == 1 else f"{len(spec.train_seeds)} runs"
        return (
            f"Which differences {runs} per variant detect is known once an experiment"
            " with this base model and these sources has two runs per variant whose scores differ."
        )
    return found.sentence


def cost(name: str, spec: ExperimentSpec) -> bool:
    """Numbers of the launch, and what leaks into the training; whether the leaks forbid to launch."""
    size, gates = size_and_leaks(spec.model_dump_json(), stamps_of_data())
    known = measured(root, spec)
    free = shutil.disk_usage(root).free
    seconds, kept = seconds_needed(size, known), bytes_needed(size, known)
    st.html(costs(size, known, seconds, kept, free, seconds_per_task(size, known)))
    st.caption(plain(what_it_detects(spec)))
    leaking = {variant: gate.leaks for variant, gate in gates.items() if gate.leaks}
    for variant, seen in ((variant, gate.test_time) for variant, gate in gates.items() if gate.test_time):
        sentence = f"'{variant}': {seen_label(len(seen), size.tasks)}."
        seen_notice(sentence)
    if not leaking:
        st.success(
            no_leak_sentence(size.tasks, {one: len(gate.test_time) for one, gate in gates.items()}),
            icon=":material/verified_user:",
        )
    for variant, found in leaking.items():
        given = len({(leak.source_b, leak.task_b) for leak in found})
        st.warning(
            f"Leak: the mixture of '{plain(variant)}' gives away {given:,} of {size.tasks:,} evaluated"
            " tasks.",
            icon=":material/warning:",
        )
        with st.expander(f"What leaks into '{plain(variant)}'"):
            st.dataframe([vars(leak) for leak in found], hide_index=True, height=200)
            st.caption("List tasks under 'exclude' of their source in the YAML to leave them out.")
    if leaking:
        field = type(spec).model_fields["allow_leaks"]
        field_widget(field, spec.allow_leaks, ("allow_leaks",), functools.partial(change_one, name))
    return bool(leaking) and not spec.allow_leaks


def needs(spec: ExperimentSpec) -> bool:
    """What is missing, each with the button that provides it; whether anything is."""
    missing = needs_of(root, spec)
    for verb in dict.fromkeys(need.verb for need in missing):
        together = [need for need in missing if need.verb == verb]
        st.warning("\n\n".join(plain(need.sentence) for need in together))
        key = f"provide:{' '.join(verb)}"
        if verb and st.button(plain(together[0].action), key=key, type="primary", disabled=not may_change()):
            with st.spinner(f"{plain(together[0].action)} …"):
                permitted(provide, root, together[0])
            st.rerun()
    return bool(missing)


def choose_place(spec: ExperimentSpec) -> ClusterSettings | None:
    """Where the runs go: this machine (None), or a Ray cluster and what each of them gets there."""
    before = cluster_of(root, spec.name)
    places = [HERE, ON_RAY]
    chosen = st.segmented_control(
        "runs on", places, default=places[before is not None], key="on", bind="query-params"
    )
    if chosen != ON_RAY:
        return None
    asked = st.session_state.setdefault("cluster", {})
    settings = (before or ClusterSettings()).model_copy(update=asked)
    with st.expander("What each run gets"):
        settings_form(settings, ("cluster",), lambda key, value: asked.update({key[-1]: value}))
    return validated(ClusterSettings, settings.model_dump(), "The cluster")


def start(name: str, spec: ExperimentSpec, text: str, *, forbidden: bool) -> None:
    """The command, the button, and where the spec will be kept."""
    cluster = choose_place(spec)
    command = ["python", "-m", "core", "launch", spec.name, *options_of(cluster)]
    in_the_way = stands_in_the_way(root, spec)
    edited = in_the_way or spec.name not in list_specs(root)
    replace = False
    if in_the_way:
        replace = st.checkbox(
            f"Replace data/experiments/{plain(spec.name)}.yaml",
            help="The file holds another spec than the one that is shown.",
        )
    elif edited:
        st.caption(f"The spec will be kept as data/experiments/{plain(spec.name)}.yaml.")
    launched = spec.name in launched_experiments(root)
    if launched:
        said = overview(root, spec.name)
        st.caption(f"Launched before: {plain(said.sentence)}. Launching goes on from there.")
        leak_notice(root, spec.name)
        if st.button("See its runs", type="tertiary", icon=":material/arrow_forward:"):
            st.switch_page("screens/runs.py", query_params={"experiment": spec.name})
    fresh = st.toggle(
        "Do everything anew",
        help="Otherwise trainings and evaluations that another run did in the same way are taken over.",
    )
    if fresh:
        command.append("--fresh")
    st.code(" ".join(command), language="bash")
    if in_the_way and not replace:
        st.caption("Confirm above that the file is replaced, or give the experiment another name.")
    if forbidden:
        st.caption("Allow the leaks above, or leave these tasks out.")
    pressed = st.button(
        "Launch",
        type="primary",
        width="stretch",
        disabled=forbidden or (in_the_way and not replace) or not may_change(),
        icon=":material/rocket_launch:",
    )
    st.caption("The runs go on when you close the browser or stop the dashboard.")
    if pressed:
        with st.spinner("Checking data and starting …"):
            permitted(launch, root, spec, command, by=rights().name, cluster=cluster, fresh_work=fresh)
            permitted(save_spec, root, text, replace=replace)
        forget(name)
        st.switch_page("screens/runs.py", query_params={"experiment": spec.name})


def page() -> None:
    """The chosen draft as a form and as text, and beside it what it will cost."""
    names = list(dict.fromkeys([*list_specs(root), *list_drafts(root)]))
    if not names:
        empty()
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        box, button = st.columns([3, 2], vertical_alignment="bottom")
        with box:
            mine = chosen_experiment(root)
            first = next((name for name in (mine, FIRST) if name in names), names[0])
            name = choose("spec", "spec", names, first)
        with button:
            new_experiment(names)
    text = draft(name)
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
    edited = text != text_on_disk(name)
    if st.button("Discard changes", type="tertiary", icon=":material/undo:", disabled=not edited):
        forget(name)
        st.rerun()
    if spec is None:
        st.error("\n\n".join(plain(one.sentence) for one in found))
        return
    try:
        if not needs(spec):
            for sentence in cautions_of(root, spec):
                st.warning(plain(sentence))
            forbidden = cost(name, spec)
            start(name, spec, text, forbidden=forbidden)
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
