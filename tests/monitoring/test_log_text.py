"""The log for people: all of it, searched, without the warnings of libraries, bars as they ended."""

from pathlib import Path

from core.monitoring.log_text import read_log
from core.runs.layout import Run

TEXT = (
    "begins\n"
    "/lib/site-packages/torch/x.py:12: UserWarning: something\n"
    "  warnings.warn(something)\n"
    "load:  10%\rload: 100%\r\n"
    "\x1b[31mStep 7 went wrong\x1b[0m\n"
)


def test_a_log_is_searched_and_warnings_are_folded(tmp_path: Path) -> None:
    run = Run(tmp_path, "trial", "plain", 0)
    assert read_log(run).lines == ()
    run.folder.mkdir(parents=True)
    run.log_file.write_text(TEXT)
    found = read_log(run)
    assert found.lines == ("begins", "load: 100%", "Step 7 went wrong")
    assert (found.folded, found.total, found.cut) == (2, 5, False)
    assert len(read_log(run, warnings=True).lines) == 5
    assert read_log(run, "STEP 7").text == "Step 7 went wrong"
