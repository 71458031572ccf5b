"""The log for people: all of it, searched, without the lines of libraries, bars as they ended."""

from pathlib import Path

from core.monitoring.log_text import read_log
from core.runs.layout import Run

TEXT = (
    "begins\n"
    "/lib/site-packages/torch/x.py:12: UserWarning: something\n"
    "  warnings.warn(something)\n"
    "load:  10%\rload: 100%\r\n"
    "shards:   0%|   | 0/1 [00:00<?, ?it/s]\rshards: 100%|███| 1/1 [00:00<00:00, 96.41it/s]\n"
    "Loading shards: 100% Completed | 1/1 [00:00<00:00, 96.41it/s]\n"
    "[W1128 11:36:01.083024371 utils.cpp:68] Warning: NUMA binding: Using MEMBIND\n"
    "\x1b[31mStep 7 went wrong\x1b[0m\n"
)


def test_a_log_is_searched_and_lines_of_libraries_are_folded(tmp_path: Path) -> None:
    run = Run(tmp_path, "trial", "plain", 0)
    assert read_log(run).lines == ()
    run.folder.mkdir(parents=True)
    run.log_file.write_text(TEXT)
    found = read_log(run)
    assert found.lines == ("begins", "load: 100%", "Step 7 went wrong")
    assert (found.folded, found.total, found.cut) == (5, 8, False)
    assert len(read_log(run, libraries=True).lines) == 8
    assert read_log(run, "STEP 7").text == "Step 7 went wrong"
