"""Charts with the SQL behind them: the SQL page opens with the query of the chart that was seen last.

Last seen is the chart whose query changed last; of a page that was just opened, its first chart.
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from core.reports.svg import svg
from dashboard.components.wording import plain

SQL_PAGE = "screens/sql.py"
BEHIND, _PAGE, _SEEN = "query behind the last chart", "page of the last chart", "queries of this page"


def chart(
    figure: Any,
    page: str,
    key: str,
    query: str,
    caption: str = "",
    note_help: str | None = None,
    open_point: Callable[[Sequence[Any]], None] | None = None,
) -> None:
    """Show a Plotly figure, `caption` below it, and a button to its query, which it notes.

    `open_point` is called with the data behind a point that was clicked.
    """
    if open_point is None:
        st.plotly_chart(figure, key=key, config=picture_button(key))
    else:
        config = picture_button(key)
        clicked = st.plotly_chart(figure, key=key, config=config, on_select="rerun", selection_mode="points")
        points = clicked["selection"]["points"]
        if points and points[0].get("customdata"):
            open_point(points[0]["customdata"])
    footer(lambda: figure, page, key, query, caption, note_help)


def footer(
    figure: Callable[[], Any], page: str, key: str, query: str, caption: str, note_help: str | None = None
) -> None:
    """What stands below a chart: its caption, and buttons to its picture and its query."""
    note(page, key, query)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(plain(caption), help=note_help, width="stretch")
        svg_button(figure, key)
        words = "Open the query that gives the numbers of this chart."
        if st.button("SQL", key=f"{key} query", type="tertiary", icon=":material/database:", help=words):
            st.session_state[BEHIND] = query
            # An empty mapping, as parameters that are bound to widgets of this page may not be cleared.
            st.switch_page(SQL_PAGE, query_params={})


def svg_button(figure: Callable[[], Any], name: str) -> None:
    """A button that saves a figure as SVG; it is made and drawn when the button is clicked."""
    st.download_button(
        "SVG",
        lambda: svg(figure(), name),
        f"{name}.svg",
        "image/svg+xml",
        key=f"{name} svg",
        type="tertiary",
        icon=":material/image:",
        help="The chart as SVG, for print; the camera on the chart saves it as PNG.",
        on_click="ignore",
    )


def picture_button(name: str) -> dict[str, Any]:
    """Plotly's settings that leave one button on a chart, which saves it as a PNG of three times its size."""
    options = {"format": "png", "filename": name, "scale": 3}
    return {"displaylogo": False, "modeBarButtons": [["toImage"]], "toImageButtonOptions": options}


def note(page: str, key: str, query: str) -> None:
    """Remember the query of a chart that is shown now."""
    state = st.session_state
    if state.get(_PAGE) != page:
        state[_PAGE], state[_SEEN] = page, {}
    seen: dict[str, str] = state[_SEEN]
    if not seen or seen.get(key, query) != query:
        state[BEHIND] = query
    seen[key] = query


def leave() -> None:
    """Say that another page is shown, so that coming back counts as seeing anew."""
    st.session_state.pop(_PAGE, None)
