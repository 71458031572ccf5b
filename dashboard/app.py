"""The dashboard's entry: navigation on top, one line for each page. Start it with `streamlit run`."""

import sys
from datetime import timedelta
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))

from core.experiments.experiment import list_experiments  # noqa: E402
from dashboard.components import back_button, responsive_columns  # noqa: E402
from dashboard.components.error_guard import sentences  # noqa: E402
from dashboard.components.experiment_choice import chosen_experiment, experiment_bar  # noqa: E402
from dashboard.components.grids import icon  # noqa: E402
from dashboard.components.picker import leave  # noqa: E402
from dashboard.components.rights import banner  # noqa: E402
from dashboard.components.widget_state import all_sent  # noqa: E402
from dashboard.components.wording import plain  # noqa: E402
from dashboard.root import project_root  # noqa: E402

# The address of each page, which is also its file in `screens/`, and its name in the navigation.
PAGES = {
    "home": "Home",
    "curate": "Curate",
    "data": "Data",
    "launch": "Launch",
    "runs": "Runs",
    "results": "Results",
    "compare": "Compare",
    "tasks": "Tasks",
    "sql": "SQL",
    "how_to_read": "How to read this",
}

# Pages that show one experiment, which their titles and addresses name.
ABOUT_ONE = ("runs", "results", "compare", "tasks")

STYLE = """<style>
.stMainBlockContainer { padding-left: 2rem; padding-right: 2rem; }
.st-key-log pre { display: flex; flex-direction: column-reverse; }
.st-key-log pre > div { margin-bottom: auto; }
/* Streamlit's own greys reach 4.2, 2.4 and 3.7 to 1; 4.5 is what small text needs, in light and dark. */
[data-testid="stCaptionContainer"] { opacity: 0.8; }
[data-testid="InputInstructions"] { color: inherit; opacity: 0.8; }
[data-testid="stBaseButton-primary"] kbd { color: inherit; opacity: 1; }
/* The accent of the dark theme is readable on its background, but not below white letters. */
[data-testid="stBaseButton-primary"]:not(:disabled), [data-tag] { background-color: #5b5bd6; }
/* Code is a command or a table here: colours that tell its parts apart reach 2.8 to 1. */
.stCode .token { color: inherit !important; }
.js-plotly-plot .xtick text, .js-plotly-plot .ytick text, .js-plotly-plot .xtitle,
.js-plotly-plot .ytitle, .js-plotly-plot .legendtext,
.js-plotly-plot .annotation-text { fill: currentColor !important; fill-opacity: 0.8; }
/* The violet of test-time training is a mark's; as words it takes on some of the text's colour. */
.js-plotly-plot tspan[style*="8E5FBF" i], .js-plotly-plot tspan[style*="142, 95, 191"] {
  fill: color-mix(in srgb, #8E5FBF 55%, currentColor) !important;
}
</style>"""

# Streamlit dims what waits for the server; pages that are live, or where keys act at once, would flicker.
LIVE = ("home", "curate", "runs")
UNDIMMED = (
    "<style>[data-stale], .stExpander details, .stExpander summary"
    " { opacity: 1 !important; transition: none !important; }</style>"
)

root = project_root()


@st.fragment(run_every=timedelta(days=1))
def keep_alive() -> None:
    """Nothing to show. A browser that comes back to a restarted server, which knows none of its page's
    fragments, runs the whole page again only while a fragment runs by itself; keys of the deck would
    else never be saved."""


def start() -> None:
    """The bare address leads to all experiments; in a new project to the first task to judge."""
    st.switch_page(pages["home" if list_experiments(root) else "curate"])


pages = {
    path: st.Page(HERE / "screens" / f"{path}.py", title=title, url_path=path)
    for path, title in PAGES.items()
}
first = st.Page(start, title="ARC workbench", default=True, visibility="hidden")
page = st.navigation([first, *pages.values()], position="top")
leave(page.url_path)
experiment = chosen_experiment(root)
about = f" · {experiment[:60]}" if experiment and page.url_path in ABOUT_ONE else ""
st.set_page_config(
    page_title=f"{page.title}{about} · {root.name}",
    page_icon=icon(),
    layout="wide",
    menu_items={"About": f"**ARC workbench**\n\nProject: {plain(root)}"},
)
st.html(
    STYLE + responsive_columns.STYLE + back_button.STYLE + UNDIMMED * (page.url_path in LIVE)
)  # first, or the page moves when it comes; style alone takes no space
experiment_bar(root, experiment)
banner()
keep_alive()
back_button.one_step_back()
with sentences():
    page.run()
all_sent()
