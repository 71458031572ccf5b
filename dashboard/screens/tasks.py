"""Tasks: what did it answer? A map of all tasks × runs to choose from, and one task's answers by votes."""

from typing import Any

import streamlit as st

from core.arc.tasks import Task
from core.curation.sources import tasks_stamp
from core.number_words import amount
from core.reports import text_tables
from core.reports.variant_styles import variant_colours
from core.results import answers as core_answers
from core.results.answers import KINDS, ORDERS, Answer
from core.results.curves import Solved, solved
from core.results.loading import Evaluation, Scores
from core.sql.chart_queries import solved_query
from dashboard.components import experiment_page, sql_links
from dashboard.components.adaptation import task_adaptation
from dashboard.components.attempts import show_cards, show_opened
from dashboard.components.files import file_row
from dashboard.components.picker import choose, choose_some, chooses, task_name
from dashboard.components.solved_map import LEGEND, show_solved_map
from dashboard.root import project_root

root = project_root()

MOST_RUNS = 12
EVERY_VARIANT, EVERY_RUN = "all variants", "all runs"


@st.cache_data(max_entries=64, show_spinner=False)
def map_of(name: str, stamp: experiment_page.Stamp, order: str) -> Solved:
    scores = experiment_page.scores_of(root, name, stamp)
    return core_answers.ordered(scores, solved(scores), order)


@st.cache_data(max_entries=64, show_spinner=False)
def answers_of(
    name: str,
    stamp: experiment_page.Stamp,
    tasks: experiment_page.TasksStamp,
    task: tuple[str, str],
    of: tuple[Evaluation, ...],
    unit: str,
) -> list[Answer]:
    return core_answers.answers_of(root, name, of, *task, unit=unit)


def show_experiment(name: str, stamp: experiment_page.Stamp, others: list[Any]) -> None:
    """The map, and below it one task with its answers."""
    scores = experiment_page.scores_of(root, name, stamp)
    if experiment_page.waiting(scores) or experiment_page.without_tasks(scores):
        return
    with others[0]:
        order = choose("order", "order", list(ORDERS), "uncertain", help=orders_help())
    strip = map_of(name, stamp, order)
    with others[1]:
        chosen = experiment_page.choose_task(strip.tasks)
    with others[2]:
        whose = choose_runs(scores)
    colours = variant_colours(scores.variants, scores.experiment.baseline)
    show_map(scores, strip, colours, task_name(chosen))
    task = experiment_page.show_task(root, chosen, solved_sentence(strip, chosen))
    task_adaptation(root, scores, chosen)
    show_answers(scores, task, name, stamp, whose, colours)


def orders_help() -> str:
    return "The order of the tasks." + "".join(f"\n- **{name}**: {words}" for name, words in ORDERS.items())


def choose_runs(scores: Scores) -> str:
    """Whose answers are shown: all variants with their runs counted together, all runs, or those of one."""
    few = sum(len(runs) for runs in scores.runs.values()) <= MOST_RUNS
    options = [EVERY_RUN, EVERY_VARIANT, *scores.variants]
    words = f"Each run apart (the first {MOST_RUNS}), each variant with its runs together, or one variant."
    return choose("answers of", "of", options, EVERY_RUN if few else EVERY_VARIANT, help=words)


def show_map(scores: Scores, strip: Solved, colours: dict[str, str], chosen: str) -> None:
    """All tasks × runs; a click chooses."""
    never, sometimes, always = strip.kinds
    st.markdown(
        f"**{amount(len(strip.tasks), 'tasks')} × {amount(len(strip.runs), 'runs')}**: {never} never solved,"
        f" {sometimes} sometimes, {always} always. Click a column to see its answers.",
        help="A column is a task, a line a run; pointing at a cell says how many attempts were right.",
    )
    show_solved_map("tasks", strip, colours, chosen, chooses("task"), scores.experiment.test_time)
    sql_links.note("tasks", "map", solved_query(scores))
    st.caption(LEGEND)


def solved_sentence(strip: Solved, name: tuple[str, str]) -> str:
    """How often a task was solved."""
    place = strip.tasks.index(name)
    right, made = int(strip.right[:, place].sum()), int(strip.attempts[:, place].sum())
    runs = int((strip.right[:, place] > 0).sum())
    return f"{right:,} of {made:,} attempts right, in {runs} of {len(strip.runs)} runs"


def show_answers(
    scores: Scores,
    task: Task,
    name: str,
    stamp: experiment_page.Stamp,
    whose: str,
    colours: dict[str, str],
) -> None:
    """Distinct answers by votes, filtered by the kind of failure, and one attempt in full."""
    unit = "variant" if whose == EVERY_VARIANT else "run"
    owners = [(variant, seed) for variant, runs in scores.runs.items() for seed in runs]
    if unit == "run":
        owners = [owner for owner in owners if whose in (EVERY_RUN, owner[0])]
    shown = owners if unit == "variant" else owners[:MOST_RUNS]
    wanted = set(shown)
    own = [one for one in scores.evaluations if (one.variant, one.train_seed) in wanted]
    of = tuple(sorted(own, key=lambda one: scores.variants.index(one.variant)))
    tasks = tasks_stamp(root, [task.source])
    found = answers_of(name, stamp, tasks, (task.source, task.task_id), of, unit)
    words = {kind: f"{text} ({votes(found, kind):,})" for kind, text in KINDS.items()}
    help_ = "How many attempts gave such an answer; choose to see only these."
    kinds = choose_some("kind of answer", "kind", words, help=help_)
    show_cards("tasks answers", found, task, colours, kinds or list(KINDS))
    show_opened(root, name, of, found, task)
    if len(shown) < len(owners):
        st.caption(f"The first {len(shown)} of {len(owners)} runs. Choose a variant above to see its runs.")
    only = whose if whose in scores.variants else None
    line = text_tables.command("predictions", "show", name, task.task_id, by=unit, variant=only)

    def table() -> text_tables.Table:
        records = [core_answers.answer_record(answer, task.source, task.task_id) for answer in found]
        return text_tables.with_test_time(text_tables.answers_table(records, line), scores)

    file_row(table, line, f"{name} {task.task_id}", "answers")


def votes(found: list[Answer], kind: str) -> int:
    """Attempts that gave an answer of this kind."""
    return sum(answer.votes for answer in found if answer.kind == kind)


experiment_page.page(root, [1.2, 3, 2], show_experiment)
