"""What was typed and not sent yet outlives the runs of a page in which its field is not drawn.

Streamlit forgets a field's text in such a run: on another page, or while another choice hides the field.
"""

import streamlit as st

KEPT = (
    *("note ", "tags "),
    *("import origin", "import name", "import licence"),
    *("scores name", "predictions experiment", "predictions variant", "flags kind"),
)
"""Beginnings of the keys of fields that hold a person's words."""


def keep_typed() -> None:
    """Keep the fields for another run; call it in each, before the page."""
    for key in list(st.session_state):
        if str(key).startswith(KEPT):
            st.session_state[key] = st.session_state[key]
