"""The end of the Launch page: what is missing, where the runs go, and the button that starts them."""

from pathlib import Path

import streamlit as st

from core.cluster.settings import ClusterSettings, cluster_of, options_of
from core.launching.launch import launch
from core.monitoring.overview import launched_experiments, overview
from core.preflight.missing import needs_of, provide
from core.settings import validated
from core.specs.edit import save_spec, stands_in_the_way
from core.specs.spec import ExperimentSpec, list_specs
from dashboard.components.launch_draft import forget
from dashboard.components.leak_notice import leak_notice
from dashboard.components.rights import may_change, permitted, rights
from dashboard.components.settings_form import settings_form
from dashboard.components.wording import plain

HERE, ON_RAY = "this machine", "Ray cluster"


def needs(root: Path, spec: ExperimentSpec) -> bool:
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


def choose_place(root: Path, spec: ExperimentSpec) -> ClusterSettings | None:
    """Where the runs go: this machine (None), or a Ray cluster and what each of them gets there."""
    before = cluster_of(root, spec.name)
    places = [HERE, ON_RAY]
    chosen = st.segmented_control(
        "runs on", places, default=places[before is not None], key=f"{spec.name} runs on"
    )
    if chosen != ON_RAY:
        return None
    asked = st.session_state.setdefault(f"cluster of {spec.name}", {})
    settings = (before or ClusterSettings()).model_copy(update=asked)
    with st.expander("What each run gets"):
        settings_form(settings, ("cluster",), lambda key, value: asked.update({key[-1]: value}))
    return validated(ClusterSettings, settings.model_dump(), "The cluster")


def start(root: Path, name: str, spec: ExperimentSpec, text: str, *, forbidden: bool) -> None:
    """The command, the button, and where the spec will be kept."""
    cluster = choose_place(root, spec)
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
        key=f"{spec.name} anew",
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
        forget(root, name)
        st.switch_page("screens/runs.py", query_params={"experiment": spec.name})
