"""The dashboard's entry: navigation on top, one line for each page. Start it with `streamlit run`."""

import html
import sys
from datetime import timedelta
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))

from dashboard.components.grids import icon  # noqa: E402
from dashboard.components.rights import banner  # noqa: E402
from dashboard.root import project_root  # noqa: E402

# The address of each page, which is also its file in `screens/`, and its name in the navigation.
PAGES = {
    "curate": "Curate",
    "data": "Data",
    "launch": "Launch",
    "runs": "Runs",
    "results": "Results",
    "compare": "Compare",
    "tasks": "Tasks",
    "sql": "SQL",
    "reading": "How to read this",
}

STYLE = """<style>
.stMainBlockContainer { padding-left: 2rem; padding-right: 2rem; }
.project-root {
  position: fixed; top: 0; right: 11rem; z-index: 999991; height: 3.75rem; display: flex; align-items: center;
  font-size: 0.8rem; opacity: 0.6; pointer-events: none;
}
.st-key-log pre { display: flex; flex-direction: column-reverse; }
.st-key-log pre > div { margin-bottom: auto; }
</style>"""

root = project_root()
st.set_page_config(
    page_title=f"{root.name} · ARC workbench",
    page_icon=icon(),
    layout="wide",
    menu_items={"About": f"**ARC workbench**\n\nProject: `{root}`"},
)


@st.fragment(run_every=timedelta(days=1))
def keep_alive() -> None:
    """Nothing to show. A browser that comes back to a restarted server, which knows none of its page's
    fragments, runs the whole page again only while a fragment runs by itself; keys of the deck would
    else never be saved."""


def home() -> None:
    """The bare address leads to the first page."""
    st.switch_page(pages[0])


pages = [
    st.Page(HERE / "screens" / f"{path}.py", title=title, url_path=path) for path, title in PAGES.items()
]
start = st.Page(home, title="ARC workbench", default=True, visibility="hidden")
page = st.navigation([start, *pages], position="top")
st.html(STYLE)  # first, or the page moves when it comes; style alone takes no space
banner()
keep_alive()
page.run()
st.html(f'<div class="project-root">root: …/{html.escape(root.name)}</div>')
