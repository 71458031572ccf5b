"""The one experiment that all pages are about: in the navigation and in the address, the same on each page.

While the address names one, that holds; else a page shows what was chosen last. A name that
is not there is said, with the nearest one, and nothing else is shown in its place.
"""

from pathlib import Path

import streamlit as st

from core.errors import UserError
from core.experiments.archive import restore_experiment
from core.experiments.experiment import latest_evaluated, list_experiments
from core.experiments.name_suggestions import Absent, absent_experiment
from dashboard.components.picker import CHOICES, IN_ADDRESS
from dashboard.components.rights import may_change, permitted
from dashboard.components.wording import plain

NAME, BOX = "experiment", "experiment box"
_CHOSEN = "experiment that was chosen"
OF_ONE = ("run", "noise_of", "baseline")
GONE_TO = "another experiment is shown"
"""Parameters that only make sense within one experiment, beside those of `picker.choose`."""

STYLE = """<style>
.st-key-experiment-bar {
  position: fixed; top: 0; right: 3.2rem; width: 15rem; height: 3.75rem; z-index: 999991;
  display: flex; justify-content: center;
}
/* Where another box takes its place, the old one stays until the run has ended. */
.st-key-experiment-bar > * + * { display: none; }
[data-testid="stTopNav"] { max-width: calc(100vw - 20.5rem); }
@media (max-width: 1000px) {
  .st-key-experiment-bar { width: 11rem; }
  [data-testid="stTopNav"] { max-width: calc(100vw - 16.5rem); }
}
[data-testid="stTopNavLink"]:focus-visible { outline: 2px solid var(--st-primary-color, #5b5bd6); }
</style>"""


def chosen_experiment(root: Path) -> str | None:
    """The experiment of the address, which may not exist, else the one chosen last, else the latest with
    results; None where there is none at all. It stands in the address from then on."""
    wanted = st.query_params.get(NAME)
    if wanted:
        st.session_state[_CHOSEN] = wanted
        return wanted
    name: str | None = st.session_state.get(_CHOSEN)
    names = list_experiments(root)
    if name not in names:
        name = (latest_evaluated(root) or names[0]) if names else None
    return name


def bring_to_address(name: str | None) -> None:
    """Let the address of this page name the experiment that it shows."""
    if name is not None and st.query_params.get(NAME) != name:
        st.query_params[NAME] = name
        st.session_state[_CHOSEN] = name


def forget() -> None:
    """Choose anew on the next page, as the chosen experiment was put away."""
    st.session_state.pop(_CHOSEN, None)


def go_to(name: str) -> None:
    """Show another experiment on this page. What was chosen within the one before leaves the address."""
    for one in (*st.session_state.get(IN_ADDRESS, ()), *OF_ONE):
        st.query_params.pop(one, None)
    st.session_state.pop(CHOICES, None)
    st.session_state[GONE_TO] = True
    st.query_params[NAME] = name
    st.session_state[_CHOSEN] = name


def experiment_bar(root: Path, name: str | None) -> None:
    """The box in the navigation; it shows nothing where the address names what is not there."""
    st.html(STYLE)
    names = list_experiments(root)
    if not names:
        return
    shown = name if name in names else None
    key = f"{BOX} of {shown}"  # another experiment, another box: an old value that comes back chooses nothing

    def take() -> None:
        if st.session_state[key]:
            go_to(st.session_state[key])

    with st.container(key="experiment-bar"):
        st.selectbox(
            "experiment",
            names,
            index=None if shown is None else names.index(shown),
            key=key,
            on_change=take,
            label_visibility="collapsed",
            placeholder="no such experiment",
            filter_mode="contains",
        )


def there(root: Path, name: str) -> bool:
    """Whether the experiment exists; where it does not, what became of it is said, with the way on."""
    absent = absent_experiment(root, name)
    if absent is None:
        return True
    _say(root, absent)
    return False


def _say(root: Path, absent: Absent) -> None:
    st.subheader(plain(absent.sentence))
    with st.container(horizontal=True):
        if absent.archived or absent.trash_entry is not None:
            pressed = st.button("Restore", type="primary", disabled=not may_change(), key="restore absent")
            if pressed:
                try:
                    permitted(restore_experiment, root, absent.name)
                except UserError as problem:
                    st.error(plain(str(problem)))
                else:
                    st.rerun()
        elif absent.nearest is not None:
            st.button(
                f"Open {plain(absent.nearest)}",
                type="primary",
                key="open nearest",
                on_click=go_to,
                args=(absent.nearest,),
            )
        st.page_link("screens/home.py", label="All experiments", icon=":material/home:")
