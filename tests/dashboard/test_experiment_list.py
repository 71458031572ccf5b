"""The rows of Home."""

from pathlib import Path

from core.reports.experiment_index import experiment_records
from core.synthetic.experiments import make_experiment
from dashboard.components.experiment_list import experiment_rows


def test_one_run_of_one_variant_is_no_plural(tmp_path: Path) -> None:
    make_experiment(tmp_path, "single", {"plain": 0.0}, runs=1, evaluations=1, tasks=2)
    make_experiment(tmp_path, "several", {"plain": 0.0, "b": 1.0}, runs=2, evaluations=1, tasks=2)
    single, several = sorted(
        experiment_records(tmp_path), key=lambda one: str(one["experiment"]), reverse=True
    )
    assert single["experiment"] == "single"
    row = experiment_rows([single], awake=False)
    assert '1<span class="unit"> variant</span> × 1<span class="unit"> run</span>' in row
    assert '2<span class="unit"> variants</span> × 2' in experiment_rows([several], awake=False)
