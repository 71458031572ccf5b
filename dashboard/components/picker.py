"""Things to choose from: boxes whose choice stands in the address, and HTML whose parts are clicked.

What is chosen is an id, kept in the session and in the address; a click sends it before the page runs.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.arc.tasks import Task
from core.errors import UserError
from core.results.differences import TaskDifference
from core.results.number_format import percent
from core.settings import nearest
from dashboard.components import grids
from dashboard.components.widget_state import is_entry, put_value
from dashboard.components.wording import plain

_component = st.components.v2.component(
    "arc_picker", js=(Path(__file__).parent / "static" / "picker.js").read_text(encoding="utf-8")
)
CHOICES, IN_ADDRESS = "choices of the page", "choices in the address"
_REPLACED = "choices that left the address"
_PAGE = "page of the choices"
_THUMBNAIL = 44

_STYLE = """<style>
.list {
  max-height: 27rem; overflow-y: auto; border: 1px solid var(--st-border-color); border-radius: 8px;
  font-size: 0.86rem; font-variant-numeric: tabular-nums;
}
.line {
  display: grid; grid-template-columns: 7.5rem 8rem minmax(8rem, 1fr) 4rem; gap: 0.6rem; align-items: center;
  padding: 0.35rem 0.7rem; cursor: pointer; border-bottom: 1px solid rgba(128, 128, 128, 0.18);
}
.line:hover, .line:focus { background: rgba(128, 128, 128, 0.12); outline: none; }
.line[aria-current="true"] {
  background: rgba(128, 128, 128, 0.2); box-shadow: inset 3px 0 var(--st-text-color);
}
.line .thumbs { display: flex; gap: 6px; align-items: center; }
.line .quiet { opacity: 0.65; font-size: 0.78rem; }
.line .points { text-align: right; font-weight: 600; }
</style>"""


def task_name(task: tuple[str, str]) -> str:
    """How a task stands in the address: its source and its id."""
    return "/".join(task)


class NotThereError(UserError):
    """An address names something that is not there; `name` is the parameter and `nearest` what is similar."""

    def __init__(self, label: str, name: str, value: str, options: Sequence[str]) -> None:
        near = nearest(value, options)
        hint = f"Did you mean '{near}'?" if near else f"There are {len(options)} to choose from."
        super().__init__(f"There is no {label} '{value[:80]}' here. {hint}")
        self.name, self.nearest = name, near or options[0]


def choose(label: str, name: str, options: Sequence[str], default: str, **how: Any) -> str:
    """A box whose choice always stands in the address, and stays when new options appear.

    Streamlit's own binding leaves defaults out, and a default such as "the best variant" may change. An
    address that names what is not there raises `NotThereError`.
    """
    choices = st.session_state.setdefault(CHOICES, {})
    written = _from_address(name)
    if written:
        if written not in options:
            raise NotThereError(label, name, written, options)
        choices[name] = written
    elif choices.get(name) not in options:
        choices[name] = default
    chosen = str(choices[name])
    key = f"chosen {name}"
    put_value(key, chosen)

    def take() -> None:
        if is_entry(key):
            choices[name] = st.session_state[key]

    st.selectbox(label, options, list(options).index(chosen), key=key, on_change=take, **how)
    _write(name, chosen)
    return chosen


def leave(page: str) -> None:
    """Forget what was chosen on the page before this one: the address says what goes along."""
    if st.session_state.get(_PAGE) != page:
        st.session_state[_PAGE] = page
        st.session_state.pop(CHOICES, None)
        st.session_state.pop(_REPLACED, None)


def _from_address(name: str) -> str | None:
    """What the address says where that goes before what was chosen: at the first look at a page, and where it
    changed since (a link, the Back button). Empty where the address names nothing."""
    written = st.query_params.get(name, "")
    known = st.session_state.setdefault(IN_ADDRESS, {})
    is_new = name not in st.session_state[CHOICES] or written != known.get(name, "")
    return written if is_new and not _is_late(name, written) else None


def _is_late(name: str, written: str) -> bool:
    """Whether the browser still had the value before the last one in its address when a person acted: no step
    back, but an answer of the server that was on its way."""
    context = get_script_run_ctx()
    is_step = context is not None and context.is_history_navigation
    return not is_step and written == st.session_state.get(_REPLACED, {}).get(name)


def _write(name: str, value: str) -> None:
    """Put a choice into the address, and remember that it was put there by this page."""
    st.session_state.setdefault(IN_ADDRESS, {})[name] = value
    written = st.query_params.get(name, "")
    if written != value:
        st.session_state.setdefault(_REPLACED, {})[name] = written
        if value:
            st.query_params[name] = value
        else:
            del st.query_params[name]


def say_not_there(problem: NotThereError) -> None:
    """The sentence, and a button to what is nearest."""
    st.error(plain(str(problem)))

    def take() -> None:
        st.session_state.pop(_REPLACED, None)
        st.query_params[problem.name] = problem.nearest

    st.button(f"Open {plain(problem.nearest)}", key="open nearest", type="primary", on_click=take)


def say_unknown(label: str, name: str, options: Sequence[str]) -> None:
    """A sentence for each value of the address that a box bound to it does not offer."""
    for value in st.query_params.get_all(name):
        if value not in options:
            near = nearest(value, options)
            hint = f" Did you mean '{near}'?" if near else ""
            st.warning(plain(f"There is no {label} '{value[:80]}' here.{hint}"))


def choose_some(label: str, name: str, words: Mapping[str, str], **how: Any) -> list[str]:
    """Pills of which any number may be chosen; their ids stand in the address, whatever their words say."""
    choices = st.session_state.setdefault(CHOICES, {})
    written = _from_address(name)
    if written is not None:
        choices[name] = written.split(",")
    chosen = choices[name] = [one for one in choices.get(name, ()) if one in words]
    key = f"chosen {name}"
    put_value(key, chosen)

    def take() -> None:
        if is_entry(key):
            choices[name] = list(st.session_state[key])

    st.pills(
        label,
        list(words),
        default=chosen,
        format_func=lambda one: words[one],
        selection_mode="multi",
        key=key,
        on_change=take,
        **how,
    )
    _write(name, ",".join(one for one in words if one in chosen))
    return list(chosen)


def chooses(name: str) -> Callable[[str, int | None], None]:
    """What a click does that chooses for the box `name` of `choose`."""

    def take(picked: str, _run: int | None) -> None:
        st.session_state.setdefault(CHOICES, {})[name] = picked

    return take


def keeps(state: str) -> Callable[[str, int | None], None]:
    """What a click does that leaves the id in the session, for the page to act on."""

    def take(picked: str, _run: int | None) -> None:
        st.session_state[state] = picked

    return take


def pick(
    page: str,
    content: str,
    chosen: str,
    take: Callable[[str, int | None], None],
    chart: Mapping[str, Any] | None = None,
) -> None:
    """Show HTML with ids to click on; `take` gets the id that was clicked before the page runs anew, and of a
    cell of a map, which `chart` describes, the place of its run."""
    key = f"{page} picker"

    def taken() -> None:
        picked = st.session_state[key].get("picked")
        if isinstance(picked, Mapping):
            take(str(picked.get("task")), int(picked.get("run", 0)))
        elif picked:
            take(str(picked), None)

    on_picked: Callable[[], None] = taken
    data = {"html": _STYLE + content, "chosen": chosen, "map": chart}
    _component(key=key, data=data, on_picked_change=on_picked)


def difference_list(differences: Sequence[TaskDifference], tasks: Mapping[tuple[str, str], Task]) -> str:
    """One line per task: thumbnails of its first test pair, who is right how often, the difference."""
    return grids.STYLE + f'<div class="list">{"".join(_line(one, tasks) for one in differences)}</div>'


def _line(one: TaskDifference, tasks: Mapping[tuple[str, str], Task]) -> str:
    name = html.escape(task_name((one.source, one.task_id)))
    task = tasks.get((one.source, one.task_id))
    thumbs = ""
    if task is not None:
        cell = grids.cell_size(task.test[:1], _THUMBNAIL)
        shown = [
            grids.grid_html(grid, min(cell, 6), label=False)
            for grid in (task.test[0].input, task.test[0].output)
        ]
        thumbs = "<span>→</span>".join(shown)
    counts = f"A {one.right_a} of {one.attempts_a} · B {one.right_b} of {one.attempts_b} attempts right"
    return (
        f'<div class="line" role="button" tabindex="0" data-pick="{name}"><div class="thumbs">{thumbs}</div>'
        f"<div>{one.words}</div>"
        f'<div>{html.escape(one.task_id)}<div class="quiet">{counts}</div></div>'
        f'<div class="points">{percent(one.difference, 1, True, one.unit)}</div></div>'
    )
