"""Curate: is this task reversible? One task fills the screen, keyboard only, faster than one a second."""

import streamlit as st

from core.curation.sources import list_sources
from core.curation.stored import source_problems
from core.errors import UserError
from core.importing.import_source import import_bundle
from core.reversibility.suggestions import judge
from dashboard.components.agreement import show_agreement
from dashboard.components.deck import deck
from dashboard.components.error_guard import fragment
from dashboard.components.flag_upload import flag_files
from dashboard.components.rights import may_change, permitted
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()
start = st.query_params.get("source")


def by_collection(name: str) -> tuple[str, bool, str]:
    """Order of the sources: by collection, training before evaluation."""
    return name.split("/")[0], not name.endswith("training"), name


@fragment()
def curate(names: list[str]) -> None:
    """The deck; a key reruns this fragment alone."""
    deck(root, names, source=start, suggest=judge)


def empty() -> None:
    """What to do while there is no source."""
    st.subheader("No tasks yet")
    st.write(
        "Import ARC-1 (400 training and 400 evaluation tasks, part of the installation), then flag them here."
    )
    if st.button("Import ARC-1", type="primary", disabled=not may_change()):
        with st.spinner("Importing ARC-1 …"):
            permitted(import_bundle, root, "arc1")
        st.rerun()


try:
    for sentence in source_problems(root):
        st.warning(plain(sentence))
    names = sorted((info.source for info in list_sources(root) if info.tasks), key=by_collection)
    if names:
        curate(names)
        show_agreement(root)
        flag_files(root, names)
    else:
        empty()
except UserError as problem:
    st.error(plain(problem))
