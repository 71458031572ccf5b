"""Data: what do I have, does it fit, does it leak, what is drawn? Every source answers before it is asked."""

from contextlib import nullcontext
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.curation.overlaps import Overlap, is_known, overlaps, side_by_side
from core.curation.sources import derived_sources, list_sources
from core.curation.stored import SOURCE_COLUMNS, SourceInfo, source_problems
from core.errors import UserError
from core.importing.import_source import import_set, import_upload
from core.importing.known_sets import BASICS, BUNDLES, PUBLIC
from core.mixing.mixtures import MixtureSettings, load_mixture
from core.number_words import amount
from core.prompts import lengths
from core.prompts.templates import PromptSettings
from core.reports.text_tables import command, free_table
from core.settings import validated
from core.specs.spec import Recipe, read_spec
from dashboard.components import source_overview, sql_links
from dashboard.components.draft_field import forget, kept_text
from dashboard.components.error_guard import fragment
from dashboard.components.file_field import empty_field, file_field
from dashboard.components.files import file_row
from dashboard.components.grids import task_html
from dashboard.components.picker import say_unknown
from dashboard.components.progress import progress_bar
from dashboard.components.responsive_columns import beside
from dashboard.components.rights import may_change, permitted
from dashboard.components.wording import plain
from dashboard.root import project_root

root = project_root()

FIELD = "import upload"
IMPORTS = "imports so far"
OTHER = "another file, folder or address"
OWN = "sources chosen here"
WRITTEN: dict[str, dict[str, Any]] = {
    "size header": {"shape_header": True},
    "row numbers": {"row_numbers": True},
    "spaces": {"cell_separator": "space"},
}
CHAT = "chat template"
DRAWN, SHOWN = 200, 12
LEAKS_SHOWN = 8


def by_collection(info: SourceInfo) -> tuple[str, bool, str]:
    """Order of the sources: by collection, training before evaluation, reversed ones last."""
    name = info.source
    return ("~" if ":" in name else "") + name.split("/")[0], not name.endswith("training"), name


IMPORT_HELP = (
    "arc1 and arc2 are part of the installation. basics are small tasks made by simple rules, on which a"
    " whole experiment takes a minute."
)


def import_form() -> None:
    """A known set by its name, or anything in a known layout."""
    known = [*BUNDLES, BASICS, *PUBLIC, OTHER]
    chosen = st.selectbox("set", known, key="import set", help=IMPORT_HELP)
    name, origin, licence, sent = chosen, None, None, None
    if chosen == OTHER:
        origin = kept_text(st.text_input, "file, folder, zip or http(s) address", key="import origin").strip()
        sent = upload_field()
        name = kept_text(
            st.text_input, "name of the source", key="import name", placeholder="my-tasks"
        ).strip()
        licence = (
            kept_text(st.text_input, "licence", key="import licence", placeholder="unknown").strip() or None
        )
    elif chosen in PUBLIC:
        origin = kept_text(
            st.text_input,
            "local copy or another address (optional)",
            key=f"import origin {chosen}",
            placeholder=PUBLIC[chosen].url,
        ).strip()
        sent = upload_field()
    lacking = [] if chosen != OTHER or origin or sent else ["a file or an address"]
    lacking += ["a name for the source"] if not name else []
    there = sources_of_set(name) if name else []
    replace = bool(there) and st.checkbox(
        f"Replace {plain(', '.join(there))}", key=f"import replace {name} {st.session_state.get(IMPORTS, 0)}"
    )
    ready = (replace or not there) and may_change()
    if st.button("Import", type="primary", key="import", disabled=not ready) and not lacking:
        run_import(name, origin or None, licence, sent)
    if lacking:
        st.caption(f"Still lacking: {' and '.join(lacking)}.")
    elif there and not replace:
        st.caption("It is here already. Confirm above that it is replaced; launched experiments keep their"
                   " tasks.")  # fmt: skip
    say_failed()


def say_failed() -> None:
    """Why the last import failed, below its button, once."""
    if problem := st.session_state.pop("import failed", None):
        st.error(plain(problem))


def sources_of_set(name: str) -> list[str]:
    """The sources that an import under this name would replace."""
    return [
        one.source for one in list_sources(root) if one.source.split("/")[0] == name or one.source == name
    ]


def upload_field() -> UploadedFile | None:
    """A file of this computer, in place of a name or an address."""
    return file_field("or a file of your computer", ["zip", "json"], FIELD)


def run_import(
    name: str, origin: str | None, licence: str | None = None, sent: UploadedFile | None = None
) -> None:
    """Import with progress; what came of it is said on the next run of the page."""
    try:
        with st.spinner(f"Importing {plain(name)} …"), progress_bar() as progress:
            if sent is not None:
                data = sent.getvalue()
                infos = permitted(
                    import_upload, root, name, sent.name, data, licence=licence, progress=progress
                )
            else:
                infos = permitted(import_set, root, name, origin, licence=licence, progress=progress)
    except (UserError, OSError) as problem:
        st.session_state["import failed"] = str(problem)
        st.rerun()
    st.session_state["imported"] = " ".join(info.summary for info in infos)
    st.session_state[IMPORTS] = st.session_state.get(IMPORTS, 0) + 1  # the next time asks again
    empty_field(FIELD)
    forget("import origin", "import name", "import licence", f"import origin {name}")
    st.rerun()


def empty() -> None:
    """What to do while there is no source."""
    st.subheader("No tasks yet")
    st.write("ARC-1 (400 training and 400 evaluation tasks) is part of the installation.")
    if st.button("Import ARC-1", type="primary", key="import arc1", disabled=not may_change()):
        run_import("arc1", None)
    say_failed()
    with st.expander("Import something else"):
        import_form()


def show_sources(infos: list[SourceInfo]) -> None:
    """The totals, the table, and the way to more."""
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    imported = [info for info in infos if ":" not in info.source]
    tasks, pairs = sum(info.tasks for info in imported), sum(info.pairs for info in imported)
    left.subheader(
        f"{amount(len(imported), 'sources')}, {amount(tasks, 'tasks')}, {amount(pairs, 'pairs')}",
        anchor=False,
    )
    with right.popover("Import …", width="stretch"):
        import_form()
    if "imported" in st.session_state:
        st.success(plain(st.session_state.pop("imported")))
    st.html(source_overview.source_table(infos))
    records = [info.record for info in infos]
    line = command("data", "list")
    file_row(lambda: free_table(SOURCE_COLUMNS, records, line), line, "sources", "sources")


def choose_prompt() -> tuple[str, PromptSettings]:
    """Whose tokenizer counts, and how grids are written; both in the address."""
    left, right = st.columns([1, 3])
    models = lengths.models_to_count_with(root)
    say_unknown("tokenizer", "model", models)
    model = left.selectbox("tokenizer", models, key="model", bind="query-params")
    written = right.pills(
        "written with",
        [*WRITTEN, CHAT],
        selection_mode="multi",
        key="prompt",
        bind="query-params",
        help="Options of the prompt; without any, a grid is its rows of digits.",
    )
    encoding = {key: value for name in written for key, value in WRITTEN.get(name, {}).items()}
    template = "chat" if CHAT in written else "base"
    return model, validated(PromptSettings, {"encoding": encoding, "template": template}, "prompt")


def show_fit(names: list[str], colours: dict[str, str], model: str, prompt: PromptSettings) -> None:
    """How long the training samples of each source are, and what share fits."""
    with progress_bar() as progress:
        try:
            found = [lengths.source_lengths(root, name, model, prompt, progress) for name in names]
        except UserError as problem:
            st.error(plain(problem))
            return
    chart, table = beside("fit", [5, 6])
    with chart:
        figure = source_overview.fit_chart(found, colours)
        st.plotly_chart(figure, key="fit chart", config=sql_links.picture_button("lengths"))
        sql_links.svg_button(lambda: figure, "lengths")
    with table:
        st.html(source_overview.fit_table(found, colours))
        st.caption(
            "One training sample per task, as training counts it: prompt, answer and end token. Longer ones"
            " than `training.max_seq_len` are dropped, or shortened where `prompt.too_long` says so.",
            help=f"The same as records: python -m core data lengths --model {plain(model)} --json",
        )


@fragment()
def show_leaks(infos: list[SourceInfo]) -> None:
    """The matrix, and the tasks behind the cell that was clicked, side by side."""
    st.subheader("Does it leak?", anchor=False)
    names = [info.source for info in infos]
    with nullcontext() if is_known(root, names) else st.spinner("Comparing all pairs of all sources …"):
        found = overlaps(root, names)
    sizes = {info.source: info.tasks for info in infos}
    place = st.container()
    chosen = st.query_params.get("leak")
    with place:
        clicked = source_overview.leak_matrix(found, sizes, chosen)
    if clicked is not None and clicked != chosen:
        st.query_params["leak"] = clicked
        st.session_state["leaks"] = 1
        st.rerun(scope="fragment")
    cell = tuple((chosen or "").split("~"))
    if cell in found and found[cell].leaks:
        show_cell(found[cell])
    else:
        st.caption(
            "Same id, same family, or the same pairs up to symmetry and recolouring, also reversed. Click a"
            " number to see the tasks.",
            help="The same as records: python -m core data leaks all all --json",
        )


def show_cell(overlap: Overlap) -> None:
    """Pairs of tasks of two sources, side by side."""
    pages = -(-len(overlap.leaks) // LEAKS_SHOWN)
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    left.markdown(
        f"**{plain(overlap.source_a)}** and **{plain(overlap.source_b)}**:"
        f" {amount(len(overlap.leaks), 'pairs')} of tasks"
    )
    page = 1
    if pages > 1:
        page = int(
            right.number_input(f"page, of {pages}", 1, pages, key="leaks", bind="query-params", value=1)
        )
    for leak in overlap.leaks[(page - 1) * LEAKS_SHOWN : page * LEAKS_SHOWN]:
        shared = f", {amount(leak.pairs, 'pairs')} in common" if leak.pairs else ""
        with st.container(border=True):
            st.markdown(f"{plain(leak.kind)}{shared}")
            for column, task in zip(st.columns(2), side_by_side(root, leak), strict=True):
                column.markdown(f"**{plain(task.task_id)}** {plain(task.source)}")
                column.html(task_html(task, height=72))


def recipes() -> dict[str, tuple[Recipe, int]]:
    """The recipe of every variant of every spec in data/experiments, with its first training seed."""
    found = {}
    for path in sorted((root / "data" / "experiments").glob("*.yaml")):
        try:
            spec = read_spec(path)
            for variant in spec.variants:
                found[f"{path.stem}: {variant}"] = spec.recipe_of(variant), spec.train_seeds[0]
        except UserError as problem:
            st.warning(plain(problem))
    return found


def choose_mixture(names: list[str]) -> MixtureSettings | None:
    """Sources and their weights, in the address; None while no source is chosen."""
    say_unknown("source", "mix", names)
    chosen = st.multiselect("sources", names, default=names[:1], key="mix", bind="query-params")
    if not chosen:
        st.info("Choose at least one source.")
        return None
    weights = {}
    for column, name in zip(st.columns(max(3, len(chosen))), chosen, strict=False):
        weights[name] = column.number_input(
            f"weight of {plain(name)}", 0.01, 1000.0, 1.0, key=f"weight {name}", bind="query-params"
        )
    shares = [{"source": name, "weight": weight} for name, weight in weights.items()]
    return validated(MixtureSettings, {"sources": shares}, "mixture")


def describe(recipe: Recipe) -> MixtureSettings:
    """Say what a recipe draws from."""
    shares = ", ".join(f"{plain(share.source)} × {share.weight:g}" for share in recipe.mixture.sources)
    st.markdown(f"{shares}  \nPrompt and max_seq_len are those of the recipe.")
    return recipe.mixture


@fragment()
def show_drawn(names: list[str], model: str, prompt: PromptSettings) -> None:
    """The first samples of a mixture, as a training with this seed draws them."""
    st.subheader("What is drawn?", anchor=False)
    known = recipes()
    left, middle, right = st.columns([3, 6, 2])
    say_unknown("mixture", "mixture", [OWN, *known])
    which = left.selectbox("mixture", [OWN, *known], key="mixture", bind="query-params")
    recipe, first_seed = known.get(which, (None, 0))
    seed = int(right.number_input("seed", 0, 2**31, first_seed, key="seed", bind="query-params"))
    with middle:
        settings = describe(recipe) if recipe else choose_mixture(names)
    if settings is None:
        return
    try:
        mixture = load_mixture(root, settings, seed)
        count, _ = lengths.counter(root, model)
        drawn = lengths.draw_with_lengths(mixture, count, recipe.prompt if recipe else prompt, DRAWN)
    except UserError as problem:
        st.error(plain(problem))
        return
    limit = recipe.training.max_seq_len if recipe else None
    st.markdown(plain(source_overview.drawn_sentence(drawn, limit)))
    st.html(source_overview.drawn_html(drawn[:SHOWN], limit, (recipe.prompt if recipe else prompt).too_long))


try:
    for sentence in source_problems(root):
        st.warning(plain(sentence))
    infos = sorted([*list_sources(root), *derived_sources(root)], key=by_collection)
    if infos:
        names = [info.source for info in infos if info.tasks]
        show_sources(infos)
        st.subheader("Does it fit?", anchor=False)
        model, prompt = choose_prompt()
        show_fit(names, source_overview.source_colours(names), model, prompt)
        leaks_place = st.container()
        show_drawn(names, model, prompt)
        with leaks_place:  # the slowest comes last and finds its place above
            show_leaks([info for info in infos if info.tasks])
    else:
        empty()
except UserError as problem:
    st.error(plain(problem))
