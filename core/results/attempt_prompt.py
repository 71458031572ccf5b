"""The exact prompt of one attempt, and its literal answer.

Predictions hold no prompts: a prompt follows from the task, the stored view and the prompt settings in
`run.json`, by the same functions that made it. The marks around it (the tokens that begin a prompt and end
an output) are read from the base model's own tokenizer files, without loading the model's library.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.arc.tasks import Task
from core.arc.views import IDENTITY_COLOURS, View
from core.errors import UserError
from core.experiments.experiment import known_folder
from core.prompts.templates import PromptSettings, prompt_text
from core.results.answers import evaluated_task, prediction_paths
from core.results.loading import Evaluation
from core.runs.imported_rows import FROM_ELSEWHERE
from core.runs.layout import Run
from core.runs.run_record import read_record_file
from core.settings import validated
from core.storage.json_records import read_as
from core.storage.models import model_location, unreadable
from core.storage.queries import parquet, query
from core.storage.schemas import PREDICTIONS
from core.storage.seals import damaged

IMPORTED = (
    "This attempt was imported as a grid: which prompt it answers, under which view, and what was literally"
    " written is not known."
)
CHAT = "The model read this inside its own chat template, whose marks are not shown."
MARKS_UNKNOWN = (
    "The base model's tokenizer is not here, so the marks around prompt and outputs are not shown."
)

_ATTEMPT = """
SELECT symmetry, colours, pair_order, prompt_tokens, output_tokens, finish_reason, logprob, text
FROM {predictions}
WHERE source = $source AND task_id = $task_id AND test_index = $test_index AND attempt = $attempt
"""


@dataclass(frozen=True)
class Asked:
    """One attempt: the task as its view showed it, the prompt, and the answer's raw text.

    `view` holds symmetry and colours; `pair_order` lists the demonstrations as shown, fewer than all where
    the prompt was shortened. `note` says what of the prompt is not shown, and is empty where it is exact.
    Of an imported attempt nothing but its grid is known: `prompt` and counts are None, and `note` says so.
    """

    view: View
    pair_order: tuple[int, ...]
    task: Task
    prompt: str | None
    note: str
    text: str | None
    prompt_tokens: int | None
    output_tokens: int | None
    finish_reason: str | None
    logprob: float | None

    @property
    def caption(self) -> str:
        """What is known of the attempt besides its texts, in sentences."""
        if self.prompt is None:
            return self.note
        order = ", ".join(str(place + 1) for place in self.pair_order)
        colours = "".join(map(str, self.view.colours))
        known = (
            f"Symmetry {self.view.symmetry}, colours {colours}, demonstrations in the order {order}."
            f" {self.prompt_tokens} tokens of prompt, {self.output_tokens} of answer, ended by"
            f" {self.finish_reason or 'nothing known'}."
        )
        return f"{known} {self.note}".rstrip()


def attempt_prompt(
    root: Path,
    experiment: str,
    evaluation: Evaluation,
    source: str,
    task_id: str,
    test_index: int,
    attempt: int,
) -> Asked:
    """The prompt and the answer of an attempt. Raises `UserError` where it or its task does not exist."""
    paths = prediction_paths(root, experiment, [evaluation])
    parameters = {"source": source, "task_id": task_id, "test_index": test_index, "attempt": attempt}
    found = query(_ATTEMPT.format(predictions=parquet(paths, PREDICTIONS)), parameters).to_pylist()
    if not found:
        raise UserError(f"'{task_id}' has no attempt {attempt} at test output {test_index}. Choose another.")
    record = found[0]
    if record["finish_reason"] == FROM_ELSEWHERE:
        return _imported(evaluated_task(root, source, task_id), test_index)
    recipe = _recipe(root, experiment, evaluation)
    settings = validated(PromptSettings, recipe.get("prompt", {}), "run.json, prompt")
    task = evaluated_task(root, source, task_id)
    try:
        view, order = View(record["symmetry"], tuple(record["colours"])), tuple(record["pair_order"])
    except (TypeError, ValueError):
        raise damaged(paths[0], f"attempt {attempt} has no view") from None
    seen = _seen(task, test_index, view, order, may_be_fewer=settings.too_long == "shorten")
    prompt, note = _prompt(root, seen, settings, str(recipe.get("base_model")))
    return Asked(
        view,
        order,
        seen,
        prompt,
        note,
        record["text"] or "",
        record["prompt_tokens"],
        record["output_tokens"],
        record["finish_reason"],
        record["logprob"],
    )


def _imported(task: Task, test_index: int) -> Asked:
    """What is known of an imported attempt: the task that it belongs to."""
    single = replace(task, test=(task.test[test_index],))
    order = tuple(range(len(task.train)))
    return Asked(View(0, IDENTITY_COLOURS), order, single, None, IMPORTED, None, None, None, None, None)


def _seen(task: Task, test_index: int, view: View, order: tuple[int, ...], *, may_be_fewer: bool) -> Task:
    """The task as the model saw it: the demonstrations of `order`, all of them unless they may be fewer."""
    try:
        if len(order) != len(task.train) and not may_be_fewer:
            raise IndexError
        shown = tuple(task.train[place] for place in order)
        return view.apply(replace(task, train=shown, test=(task.test[test_index],)))
    except IndexError:
        raise UserError(
            f"'{task.task_id}' of '{task.source}' has changed since this attempt, so its prompt is not known."
            " Import the source as it was at the launch."
        ) from None


def _recipe(root: Path, experiment: str, evaluation: Evaluation) -> dict[str, Any]:
    known_folder(root, experiment)
    path = Run(root, experiment, evaluation.variant, evaluation.train_seed).record_file
    recipe = read_record_file(path).get("recipe")
    if not isinstance(recipe, dict):
        raise UserError(f"{path} holds no recipe, so no prompt is known. Launch again.")
    return recipe


def _prompt(root: Path, seen: Task, settings: PromptSettings, base_model: str) -> tuple[str, str]:
    """The prompt and a note about what is missing in it."""
    if settings.template == "chat":
        return prompt_text(seen, settings), CHAT
    marks = _marks(root, base_model)
    if marks is None:
        return prompt_text(seen, settings), MARKS_UNKNOWN
    begin, end = marks
    return begin + prompt_text(seen, settings, end), ""


def _marks(root: Path, base_model: str) -> tuple[str, str] | None:
    """The tokens that begin a prompt and the one that ends an output; None where the files are not here."""
    from tokenizers import Tokenizer

    try:
        folder = Path(model_location(root, base_model))
    except UserError:
        return None
    path, settings = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if not path.is_file() or not settings.is_file():
        return None
    end = read_as(settings, dict[str, Any]).get("eos_token")
    text = end.get("content") if isinstance(end, dict) else end
    if not isinstance(text, str):
        return None
    try:
        return "".join(Tokenizer.from_file(str(path)).encode("").tokens), text
    except Exception as problem:  # the library raises nothing narrower
        raise unreadable("tokenizer", str(folder), problem) from problem
