"""Who wants to know is told once that an experiment has ended, by a command or a call, without a shell."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from core.errors import UserError
from core.experiments.listing import list_runs
from core.reports.finish_notice import project_settings, tell_of_end
from core.runs.state import RunState, write_state
from core.specs.edit import as_yaml
from core.synthetic.experiments import make_experiment

NAME = "my-question"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_experiment(tmp_path, runs=2, evaluations=1, tasks=4)
    (tmp_path / "data").mkdir(exist_ok=True)
    for run in list_runs(tmp_path, NAME):
        write_state(run, RunState("done"))
    return tmp_path


def settle(root: Path, **on_finish: object) -> None:
    (root / "data" / "settings.yaml").write_text(as_yaml({"on_finish": on_finish}))


def told(root: Path) -> list[str]:
    said: list[str] = []
    thread = tell_of_end(root, NAME, said.append)
    if thread is not None:
        thread.join(60)
    return said


def test_a_command_gets_the_sentence_as_one_argument(root: Path, tmp_path: Path) -> None:
    code = "import json, sys; open(sys.argv[1], 'w').write(json.dumps(sys.argv[2:]))"
    wanted = [sys.executable, "-c", code, str(tmp_path / "told"), "{experiment}", "{sentence}; rm -r $HOME"]
    settle(root, command=wanted)
    assert "was told" in told(root)[0]
    name, sentence = json.loads((tmp_path / "told").read_text())
    assert name == NAME
    assert sentence.endswith("; rm -r $HOME") and "accuracy" in sentence


def test_nothing_is_told_while_a_run_waits_or_nobody_asked(root: Path) -> None:
    assert told(root) == []
    settle(root, command=["no-such-program-here"])
    write_state(list_runs(root, NAME)[0], RunState("queued", "infer"))
    assert told(root) == []


def test_what_fails_is_said_and_stops_nobody(root: Path) -> None:
    settle(root, command=["no-such-program-here"])
    (sentence,) = told(root)
    assert "no-such-program-here" in sentence and sentence.endswith("Correct it in data/settings.yaml.")
    (root / "data" / "settings.yaml").write_text("on_finsh: {}")
    assert "Did you mean 'on_finish'?" in told(root)[0]
    for other in ("[]", "0", "no"):
        (root / "data" / "settings.yaml").write_text(other)
        assert "Correct it in the file." in told(root)[0]
    settle(root, webhook="file:///etc/passwd")
    with pytest.raises(UserError, match="webhook"):
        project_settings(root)


def test_a_webhook_gets_one_post_and_no_redirection_is_followed(root: Path) -> None:
    seen: list[tuple[str, dict[str, str]]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            seen.append((self.path, json.loads(self.rfile.read(size))))
            self.send_response(302 if self.path == "/away" else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            seen.append((self.path, {}))

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        settle(root, webhook=f"{address}/hook")
        assert "was told" in told(root)[0]
        settle(root, webhook=f"{address}/away")
        assert "failed" in told(root)[0]
        server.shutdown()
    assert [path for path, _ in seen] == ["/hook", "/away"]
    assert seen[0][1]["experiment"] == NAME and "accuracy" in seen[0][1]["sentence"]
