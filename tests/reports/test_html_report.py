"""An experiment as one file: whole, without script or network, and every text of a person only text."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from core.__main__ import app
from core.checks.alarms import alarm_sentences, check_records
from core.errors import UserError
from core.exchange.import_scores import import_results
from core.experiments.notes import Notes, write_notes
from core.reports.html_report import html_report
from core.results.number_format import table_texts
from core.runs.layout import Run
from core.runs.state import RunState, write_state
from core.storage.files import read_json, write_json, write_text
from core.synthetic.experiments import SKILLS, make_experiment
from tests.result_table import result_records

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "my-question"
ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
WRITTEN = f"""## What I conclude

- **plain** wins ![a](https://x.org/a.png) [b](https://x.org/b) <https://x.org/c> {ATTACK}

| a | b |
|---|---|
| 1 | 2 |

[d]: https://x.org/d
see [d]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment with one failed run, allowed leaks, and a question that attacks its readers."""
    root = tmp_path_factory.mktemp("project")
    make_experiment(root, NAME, tasks=10, attempts=4)
    spec = root / "runs" / NAME / "experiment.yaml"
    value = yaml.safe_load(spec.read_text())
    write_text(spec, yaml.safe_dump({**value, "question": ATTACK}))
    run = Run(root, NAME, "plain", 2)
    write_state(run, RunState("failed", "infer", error=f"No memory {ATTACK}"))
    record = read_json(Run(root, NAME, "plain", 0).folder / "run.json")
    leak = {"source_a": ATTACK, "task_a": "t1", "source_b": "toy", "task_b": "t2", "kind": "same pairs"}
    write_notes(root, NAME, Notes(text=WRITTEN))
    versions = {"libraries": {"torch": "9.8.7"}, "hardware": {"processor": ATTACK, "gpus": ["One GPU"]}}
    write_json(Run(root, NAME, "plain", 0).folder / "run.json", {**record, "leaks": [leak], **versions})
    return root


class Tags(HTMLParser):
    """All tags with their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said.append(data)


@pytest.fixture(scope="module")
def note(root: Path) -> str:
    return html_report(root, NAME)


def test_everything_that_a_reader_needs_is_in_it(root: Path, note: str) -> None:
    said = "".join(Tags(note).said)
    texts = table_texts(result_records(root, NAME))
    assert len(texts) >= 10 and [text for text in texts.values() if text.strip() not in said] == []
    wanted = (
        "training.steps",
        "9.8.7",
        "One GPU",
        "made up 1",
        "attempts: 4",
        "twice-as-long − plain",
    )
    assert [part for part in wanted if part not in said] == []
    assert "p = 0.00002. The verdict on B: worse." in said
    assert "Run plain, train seed 2, failed: No memory" in said
    alarms = alarm_sentences(check_records(root, NAME))
    assert len(alarms) >= 1 and [alarm for alarm in alarms if alarm not in said] == []
    assert any("plain seed 0" in alarm for alarm in alarms)
    assert f"python -m core compare {NAME} plain more-colours" in said
    assert len(note) < 200_000


def test_every_run_is_a_dot_and_every_curve_is_drawn(note: str) -> None:
    tags = Tags(note).tags
    dots = [attributes for tag, attributes in tags if attributes.get("class") == "dot"]
    assert len(dots) == 4 * 3 * len(SKILLS)
    assert sum(tag == "polygon" for tag, _ in tags) == 3 * len(SKILLS)
    assert sum(tag == "image" for tag, _ in tags) == 1


def test_nothing_in_it_runs_or_is_fetched(note: str) -> None:
    tags = Tags(note).tags
    assert len(tags) > 300
    assert {tag for tag, _ in tags} & {
        "script",
        "link",
        "iframe",
        "object",
        "img",
        "form",
        "base",
        "a",
    } == set()
    names = {name for _, attributes in tags for name in attributes}
    assert [name for name in names if name.startswith("on")] == []
    addresses = [
        value or "" for _, attributes in tags for name, value in attributes.items() if "href" in name
    ]
    assert len(addresses) == 1 and addresses[0].startswith("data:image/png;base64,")
    assert "url(" not in note and "@import" not in note
    policy = next(attributes for tag, attributes in tags if "http-equiv" in attributes)
    assert "default-src 'none'" in (policy["content"] or "")


def test_what_people_wrote_is_text(note: str) -> None:
    assert "<script" not in note and "<img" not in note
    assert "".join(Tags(note).said).count("<script>alert(1)</script>") >= 5


def test_a_persons_note_is_shown_as_it_was_meant(note: str) -> None:
    assert "<h2>What I conclude</h2>" in note and "<li><strong>plain</strong> wins" in note
    assert "<h2>Conclusion</h2>" not in note, "it has a heading of its own"
    assert "<td>1</td>" in note and "https://x.org/a.png" in "".join(Tags(note).said)


def _verb(*words: str) -> Iterator[str]:
    result = CliRunner().invoke(app, ["results", *words])
    yield str(result.exit_code)
    yield result.output


def test_the_verb_writes_it_and_imported_results_have_one_too(tmp_path: Path) -> None:
    file = REPOSITORY / "data" / "experiments" / "lab-note" / "results.csv"
    import_results(tmp_path, file, "lab-note", percent=True)
    target = tmp_path / "note.html"
    code, said = _verb("lab-note", "--html", str(target), "--root", str(tmp_path))
    assert (code, target.exists()) == ("0", True), said
    assert re.search(r"Written to .*note\.html \(\d+ kB\)", said.replace("\n", ""))
    text = "".join(Tags(target.read_text()).said)
    wanted = [text.strip() for text in table_texts(result_records(tmp_path, "lab-note")).values()]
    assert len(wanted) >= 10 and [part for part in wanted if part not in text] == []
    assert "Imported from results.csv" in text and "Tasks by run" not in text


def test_nothing_evaluated_is_a_sentence(tmp_path: Path) -> None:
    make_experiment(tmp_path, NAME, {"plain": 0.0}, runs=1, evaluations=1, tasks=2, attempts=2)
    next((tmp_path / "runs").rglob("scores.parquet")).unlink()
    with pytest.raises(UserError, match="No run of 'my-question' is evaluated yet"):
        html_report(tmp_path, NAME)
    with pytest.raises(UserError, match="no experiment 'other'"):
        html_report(tmp_path, "other")


def test_runs_that_name_no_versions_leave_no_empty_table(project: Path) -> None:
    said = html_report(project, "my-question")
    assert "<h2>Runs and versions</h2>" in said and "<th>what</th>" not in said
