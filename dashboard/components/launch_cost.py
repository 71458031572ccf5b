"""What a launch will cost, which difference it can show, and what leaks into its training."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from core.checks.leak_warnings import no_leak_sentence, seen_label, seen_sentence
from core.experiments.slot_sharing import runs_at_a_time
from core.launching.launch import leaks_of
from core.mixing.mixtures import Gate
from core.number_words import amount
from core.plain_files import file_stamp
from core.preflight.cost import bytes_needed, measured, seconds_needed, seconds_per_task
from core.preflight.power import Detectable, detectable
from core.preflight.size import Size, size_of
from core.specs.spec import ExperimentSpec
from dashboard.components.launch_card import costs
from dashboard.components.leak_notice import seen_notice
from dashboard.components.settings_form import Key, field_widget
from dashboard.components.wording import plain


@st.cache_data(max_entries=32, show_spinner=False)
def size_and_leaks(root: Path, spec_json: str, stamps: tuple[Any, ...]) -> tuple[Size, dict[str, Gate]]:
    """How much the spec runs, and what leaks into each variant, counted anew when a source changes."""
    spec = ExperimentSpec.model_validate_json(spec_json)
    return size_of(root, spec), leaks_of(root, spec)


def stamps_of_data(root: Path) -> tuple[Any, ...]:
    """Changes when sources, partitions or flags do."""
    files = sorted(path for path in (root / "data").glob("*/**/*.json") if "models" not in path.parts)
    files += [path for path in [root / "data" / "flags.jsonl"] if path.exists()]
    return tuple((str(path), file_stamp(path)) for path in files)


@st.cache_data(max_entries=32, ttl=60, show_spinner=False)
def detectable_by(root: Path, spec_json: str) -> Detectable | None:
    """Which difference the spec can show, by the noise of experiments before it."""
    return detectable(root, ExperimentSpec.model_validate_json(spec_json))


def what_it_detects(root: Path, spec: ExperimentSpec) -> str:
    """Which difference the launch will be able to show, or how to learn it."""
    found = detectable_by(root, spec.model_dump_json())
    if found is None:
        return (
            f"Which differences {amount(len(spec.train_seeds), 'trainings')} of a variant can show is known"
            " once an experiment with this base model and these sources has two runs of each variant"
            " whose scores differ."
        )
    return found.sentence


def cost(root: Path, spec: ExperimentSpec, changed: Callable[[Key, Any], None]) -> bool:
    """Numbers of the launch, and what leaks into the training; whether the leaks forbid to launch."""
    size, gates = size_and_leaks(root, spec.model_dump_json(), stamps_of_data(root))
    known = measured(root, spec)
    free = shutil.disk_usage(root).free
    seconds, kept = seconds_needed(size, known, runs_at_a_time(root, spec)), bytes_needed(size, known)
    st.html(costs(size, known, seconds, kept, free, seconds_per_task(size, known)))
    st.caption(plain(what_it_detects(root, spec)))
    leaking = {variant: gate.leaks for variant, gate in gates.items() if gate.leaks}
    labels = {
        variant: seen_label(len(gate.test_time), size.tasks)
        for variant, gate in gates.items()
        if gate.test_time
    }
    if labels:
        seen_notice(seen_sentence(labels))
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
        field_widget(field, spec.allow_leaks, ("allow_leaks",), changed)
    return bool(leaking) and not spec.allow_leaks
