"""Numbers from elsewhere enter the same tables, and bad files are refused by line and column."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import UserError
from core.exchange.import_scores import import_results
from core.exchange.read_scores import read_scores
from core.results.conclusion import experiment_answer
from core.results.loading import load_scores
from core.results.reading import Reading
from core.results.run_values import offered_metrics, run_records
from core.results.verdicts import compare_records, verdict_rows
from core.scoring.metrics import higher_is_better
from core.spread.verdict import judge
from core.storage.seals import seal_path
from core.storage.upload_file import sent_file
from core.synthetic.experiments import make_experiment
from tests.result_table import result_records
from tests.results.test_run_values import REPOSITORY, run_verb

LAB_NOTE = REPOSITORY / "data" / "experiments" / "lab-note" / "results.csv"
PRINTED = REPOSITORY.parent / "shared" / "reference" / "lab_note_tables.csv"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_lab_note_enters_the_tables(tmp_path: Path) -> None:
    said = run_verb(tmp_path, "results", "import", str(LAB_NOTE), "--experiment", "lab-note", "--percent")
    assert said.stdout.startswith("13 evaluations imported")
    records = json.loads(run_verb(tmp_path, "results", "lab-note", "--json").stdout)
    table = {(record["variant"], record["metric"]): record for record in records}
    size = table["A", "correct_size"]
    assert (size["n"], size["aggregation"], size["scope"]) == (3, None, "recipe")
    first = (87.36 + 87.77 + 87.45 + 87.53 + 87.58) / 5
    assert size["mean"] == pytest.approx((first + 86.72 + 89.27) / 300, abs=1e-12)


def test_the_trap_of_the_lab_note(tmp_path: Path) -> None:
    import_results(tmp_path, LAB_NOTE, "lab-note", percent=True)
    scores = load_scores(tmp_path, "lab-note")
    records = {r["scope"]: r for r in compare_records(scores, "A", "B", Reading(("correct_size",)))}
    assert set(records) == {"checkpoint", "recipe"}
    assert records["checkpoint"]["p"] < 1e-5 and records["checkpoint"]["verdict"] == "worse"
    assert records["recipe"]["p"] > 0.1 and records["recipe"]["verdict"] == "cannot tell"
    with pytest.raises(UserError, match="Choose scope 'recipe'"):
        result_records(tmp_path, "lab-note", scope="new_tasks")


@pytest.mark.skipif(not PRINTED.exists(), reason="the note's own tables are not at hand")
def test_the_shipped_numbers_are_those_of_the_note() -> None:
    with PRINTED.open() as file:
        printed = {(row["table"], row["row"]): row for row in csv.DictReader(file)}
    with LAB_NOTE.open() as file:
        shipped = list(csv.DictReader(file))
    places = [*(("evaluation_A", str(row)) for row in range(1, 6)), ("training_A", "2"), ("training_A", "3")]
    places += [("training_B", "1"), *(("evaluation_B", str(row)) for row in range(1, 6))]
    assert len(shipped) == len(places) == 13
    for row, place in zip(shipped, places, strict=True):
        assert row["vote_2"] == printed[place]["pass_2"]
        for metric in ("accuracy", "correct_pixels", "correct_size", "pass_64", "unanswered"):
            assert row[metric] == printed[place][metric]


def test_unknown_cells_stay_unknown(tmp_path: Path) -> None:
    file = write(
        tmp_path / "x.csv",
        "variant,train_seed,eval_seed,my score,loss\nb,0,0,0.5,\nb,1,0,,2\na,0,0,0.25,1\n",
    )
    assert import_results(tmp_path, file, "x", baseline="a").rows == 3
    records = {(r["variant"], r["metric"]): r for r in result_records(tmp_path, "x")}
    assert list(records) == [("b", "my score"), ("b", "loss"), ("a", "my score"), ("a", "loss")]
    assert (records["b", "my score"]["n"], records["b", "my score"]["std"]) == (1, None)
    assert records["b", "loss"]["mean"] == 2.0
    scores = load_scores(tmp_path, "x")
    assert offered_metrics(scores) == ["my score", "loss"]
    assert {row.verdict for row in verdict_rows(scores, "my score")} == {None, "cannot tell"}
    assert scores.experiment.baseline == "a"
    with pytest.raises(UserError, match="holds no metric 'accuracy'"):
        result_records(tmp_path, "x", ["accuracy"])


HEAD = "variant,train_seed,eval_seed,accuracy\n"
SUMMED = "variant,mean,std,n\n"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("variant,eval_seed,accuracy\na,0,1\n", "lacks the column train_seed"),
        ("experiment,accuracy\n1,.5\n2,.6\n", "lacks the column variant, the recipe of each row"),
        ("train_seed,eval_seed,accuracy\n1,0,.5\n", "lacks the column variant, the recipe of each row"),
        ("variant,accuracy,accuracy\na,.5,.5\n", "has the column 'accuracy' twice"),
        ("variant,accuracy\na,.5 ± .1\n", "line 2 has means with a spread. Add a column n"),
        ("variant,accuracy,loss,std,n\na,.5,2,.1,3\n", "has a column n, but not the others"),
        ("variant,n\na,3\n", "has a column n, but not the others"),
        ("| a | b |\n|---|---|\n| x |\n", "line 3 has 1 cells instead of 2"),
        ("variant,accuracy,n\na,.5 ± x,3\n", "line 2: std 'x' is no number"),
        ("variant,train_seed,eval_seed\na,0,1\n", "has no metric"),
        ("", "lacks the column variant"),
        (HEAD, "no row below"),
        (HEAD.replace("accuracy", "<b>x</b>") + "a,0,0,1\n", "'<b>x</b>' can't name a metric"),
        (HEAD + "a,0,0\n", "line 2 has 3 cells instead of 4"),
        (HEAD + "a,0,0,1\na,0,0,2\n", "line 3 repeats a, 0, 0"),
        (HEAD + "a,-1,0,1\n", "line 2: train_seed '-1' is no whole number"),
        (HEAD + "a,0,0,much\n", "line 2: accuracy 'much' is no number"),
        (HEAD + "a,0,0,inf\n", "line 2: accuracy 'inf' is no number"),
        (HEAD + "a,0,0,40%\n", "Import it as percent (--percent)"),
        (HEAD + "a,0,0,0_5\n", "line 2: accuracy '0_5' is no number"),
        (HEAD + f"a,{2**63},0,1\n", "no whole number from 0 to 2^63 - 1"),
        (HEAD + f"a,{'9' * 5000},0,1\n", "no whole number from 0 to 2^63 - 1"),
        (SUMMED + f"a,.5,.1,{'9' * 5000}\n", "a count of runs from 1"),
        (SUMMED + "a,.5,1e308,5\n", "line 2: std '1e308' is beyond 1e+15. Import it in another unit"),
        (HEAD.replace("accuracy", "loss") + "a,0,0,-1e16\n", "line 2: loss '-1e16' is beyond 1e+15"),
        (SUMMED + "a,.5,.1,60000\nb,.5,.1,60000\n", "stands for more than 100,000 runs"),
        (HEAD + "a,0,0,\0.5\n", "it holds zeros"),
        (HEAD + "x" * 200_000 + ",0,0,.5\n", "is no CSV"),
        (HEAD + "," * 2_000_000, "more than 2,000,000 cells"),
        (HEAD + "../a,0,0,1\n", "'../a' can't name a variant"),
        (HEAD + "=cmd(),0,0,1\n", "can't name a variant"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    file = write(tmp_path / "x.csv", text)
    with pytest.raises(UserError) as problem:
        import_results(tmp_path, file, "x")
    assert sentence in str(problem.value)
    assert not (tmp_path / "runs").exists()


def test_names_are_guarded(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", HEAD + "a,0,0,1\n")
    make_experiment(tmp_path, "mine", runs=1, evaluations=1, tasks=2, skills={"plain": 0})
    with pytest.raises(UserError, match="runs/mine is taken"):
        import_results(tmp_path, file, "mine")
    with pytest.raises(UserError, match="can't name an experiment"):
        import_results(tmp_path, file, "../x")
    with pytest.raises(UserError, match="no variant 'b'"):
        import_results(tmp_path, file, "x", baseline="b")
    with pytest.raises(UserError, match="does not exist"):
        import_results(tmp_path, tmp_path / "y.csv", "x")
    import_results(tmp_path, file, "x")
    changed = write(file, HEAD + "a,0,0,0.5\n")
    with pytest.raises(UserError, match=r"'x' was imported before.*--replace"):
        import_results(tmp_path, changed, "x")
    assert result_records(tmp_path, "x")[0]["mean"] == 1
    import_results(tmp_path, changed, "x", replace=True)
    assert result_records(tmp_path, "x")[0]["mean"] == 0.5
    (tmp_path / "runs" / "x" / "imported.parquet").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"imported.parquet is damaged.*Import the results again"):
        result_records(tmp_path, "x")


@pytest.mark.parametrize(
    ("text", "metric", "values"),
    [
        ("variant;train_seed;eval_seed;accuracy\na;0;0;0,1\na;1;0;0,25\n", "accuracy", [0.1, 0.25]),
        ("variant\ttrain_seed\teval_seed\taccuracy\na\t0\t0\t0.1\na\t1\t0\t0,25\n", "accuracy", [0.1, 0.25]),
        (HEAD + "a,0,0,0.1\na,1,0,NaN\na,2,0,n/a\na,3,0,\n", "accuracy", [0.1]),
        ("variant,train_seed,eval_seed,eval/accuracy\na,0,0,0.1\n", "eval/accuracy", [0.1]),
        ("\ufeffvariant,train_seed,eval_seed,accuracy\r\na,0,0,0.1\r\n", "accuracy", [0.1]),
    ],
)
def test_the_tables_that_people_export_are_read(
    tmp_path: Path, text: str, metric: str, values: list[float]
) -> None:
    found = read_scores(write(tmp_path / "x.csv", text))
    assert found.metrics == [metric]
    assert [one[metric] for one in found.records if one[metric] is not None] == values
    packed = tmp_path / "x.csv.gz"
    packed.write_bytes(gzip.compress(text.encode("utf-8")))
    assert read_scores(packed).records == found.records
    packed.write_bytes(gzip.compress(text.encode("utf-8"))[:-9])
    with pytest.raises(UserError, match=r"x.csv.gz: It can't be unfolded"):
        read_scores(packed)


def test_rows_without_seeds_are_trainings_of_their_own(tmp_path: Path) -> None:
    text = "variant,accuracy\na,.1\nb,.2\na,.3\n"
    found = read_scores(write(tmp_path / "x.csv", text))
    assert [tuple(one[key] for key in ("variant", "train_seed", "eval_seed")) for one in found.records] == [
        ("a", 0, 0), ("b", 0, 0), ("a", 1, 0)
    ]  # fmt: skip
    assert found.remarks == ("There are no seeds: each row counts as a training of its own, evaluated once.",)
    seeds = read_scores(write(tmp_path / "y.csv", "variant,seed,accuracy\na,7,.1\na,9,.3\n"))
    assert ([one["train_seed"] for one in seeds.records], seeds.remarks) == ([7, 9], ())
    import_results(tmp_path, tmp_path / "x.csv", "x")
    assert load_scores(tmp_path, "x").experiment.question == f"Numbers from x.csv. {found.remarks[0]}"


@pytest.mark.skipif(not PRINTED.exists(), reason="the note's own tables are not at hand")
def test_a_table_of_the_lab_note_is_read_as_it_stands_there(tmp_path: Path) -> None:
    note = (PRINTED.parent / "lab_note_iteration_17.txt").read_text()
    tables = [part for part in note.split("\n\n") if part.startswith("| experiment")]
    assert len(tables) == 4
    text = tables[2].replace("| 1  ", "| A 1").replace("| 2  ", "| A 2").replace("| 3  ", "| A 3")
    found = read_scores(write(tmp_path / "a.md", text), percent=True)
    assert found.metrics == ["accuracy", "correct_pixels", "correct_size", "pass_64", "unanswered", "pass_2"]
    assert found.variants == ["A 1", "A 2", "A 3"] and found.records[2]["pass_2"] == 12.76
    assert found.remarks[:2] == (
        "The column 'experiment' names the variants.",
        "The rows of mean and std are left out: both are computed here.",
    )
    with pytest.raises(UserError, match="lacks the column variant"):
        read_scores(write(tmp_path / "b.md", tables[2]), percent=True)


def test_a_parquet_file_is_read_as_a_csv_is(tmp_path: Path) -> None:
    rows = [
        {"variant": "a", "train_seed": seed, "eval_seed": 0, "acc": value}
        for seed, value in enumerate((0.1, None, 1 / 3))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    found = read_scores(tmp_path / "x.parquet")
    assert (found.metrics, found.variants, found.summaries) == (["acc"], ["a"], False)
    assert [one["acc"] for one in found.records] == [0.1, None, 1 / 3]
    damaged = tmp_path / "y.parquet"
    damaged.write_bytes((tmp_path / "x.parquet").read_bytes()[:-20])
    with pytest.raises(UserError, match="no parquet file that can be read"):
        read_scores(damaged)


def test_a_file_that_was_sent_is_named_without_its_folder(tmp_path: Path) -> None:
    text = (HEAD + "a,0,0,much\n").encode()
    with pytest.raises(UserError) as problem, sent_file("../../my table.csv", text) as path:
        import_results(tmp_path, path, "x")
    assert str(problem.value).startswith("my table.csv, line 2: accuracy 'much' is no number")
    assert not path.exists()


def test_of_a_loss_less_is_better() -> None:
    for name in ("val_loss", "eval/loss", "loss", "NLL", "train error", "perplexity"):
        assert not higher_is_better(name)
    for name in ("accuracy", "lossless", "eval/accuracy", "vote_2", "terror"):
        assert higher_is_better(name)


def imported(tmp_path: Path, text: str, **options: Any) -> dict[tuple[str, str], dict[str, Any]]:
    import_results(tmp_path, write(tmp_path / "x.csv", text), "x", replace=True, **options)
    return {(r["variant"], r["metric"]): r for r in result_records(tmp_path, "x")}


def test_a_loss_that_falls_is_better_and_is_no_percentage(tmp_path: Path) -> None:
    rows = [
        ("base", 2.51),
        ("base", 2.48),
        ("base", 2.53),
        ("longer", 2.11),
        ("longer", 2.09),
        ("longer", 2.1),
    ]
    lines = [f"{name},{seed},0,{value}" for seed, (name, value) in enumerate(rows)]
    text = "\n".join(["variant,train_seed,eval_seed,val_loss", *lines])
    found = imported(tmp_path, text)["longer", "val_loss"]
    assert (found["verdict"], found["unit"], found["mean"]) == ("better", "number", pytest.approx(2.1))
    sentence = experiment_answer(load_scores(tmp_path, "x"))
    assert sentence.startswith("longer is better than base by 0.4") and "points" not in sentence
    turned = imported(tmp_path, text, higher_is_better=["val_loss"])["longer", "val_loss"]
    assert turned["verdict"] == "worse"


def test_a_share_above_one_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"accuracy is 43.5 for a.*--percent\), or give its unit"):
        imported(tmp_path, HEAD + "a,0,0,43.5\n")
    assert imported(tmp_path, HEAD + "a,0,0,43.5\n", percent=True)["a", "accuracy"]["mean"] == 0.435
    kept = imported(tmp_path, HEAD + "a,0,0,43.5\n", units={"accuracy": "number"})["a", "accuracy"]
    assert (kept["mean"], kept["unit"]) == (43.5, "number")
    with pytest.raises(UserError, match="no metric 'loss'"):
        imported(tmp_path, HEAD + "a,0,0,1\n", lower_is_better=["loss"])


def test_rows_of_mean_std_and_n_are_judged_like_runs(tmp_path: Path) -> None:
    text = (
        "variant,metric,mean,std,n\nplain (lr 1e-4),acc,40.0,1.5,4\nours,acc,45.0,1.5,4\nours,loss,2.0,,1\n"
    )
    found = imported(tmp_path, text, percent=True)
    ours = found["ours", "acc"]
    assert (ours["mean"], ours["std"], ours["n"]) == (pytest.approx(0.45), pytest.approx(0.015), 4)
    assert ours["verdict"] == "better" and found["ours", "loss"]["mean"] == 2.0
    printed = {
        "variant;acc;std;n\nplain;40,0;1,5;4\nours;45,0;1,5;4\n": "acc",
        "| model | n | acc | loss |\n|:--|--:|--:|--|\n| plain | 4 | 40.0 ± 1.5 | 3.1 |\n"
        "| **ours** | 4 | **45.0% ± 1.5%** | 2.0 |\n": "acc",
        "variant,acc (%),n\nplain,$40.0 \\pm 1.5$,4\nours,$45.0 \\pm 1.5$,4\n": "acc (%)",
        "variant\tmetric\tmean\tstd\tn\nplain\tacc\t40.0\t1.5\t4\nours\tacc\t45,0\t1,5\t4\n": "acc",
    }
    for other, metric in printed.items():
        again = imported(tmp_path, other, percent=True)["ours", metric]
        numbers = again.keys() - {"metric", "baseline"}
        assert {key: again[key] for key in numbers} == {key: ours[key] for key in numbers}


def test_a_skewed_share_is_taken_by_its_mean_and_std(tmp_path: Path) -> None:
    """Runs at 1.0 ± 1.6 % of ten are 0 mostly; what stands for them may lie below 0, the share does not."""
    found = imported(tmp_path, "variant,mean,std,n\nplain,1.0,1.6,10\nours,6.0,1.6,10\n", percent=True)
    plain = found["plain", "score"]
    assert (plain["mean"], plain["std"]) == (pytest.approx(0.01), pytest.approx(0.016))
    assert 0 <= plain["low"] < 0.01 < plain["high"] and found["ours", "score"]["verdict"] == "better"
    with pytest.raises(UserError, match=r"have a std of 10\.5 % at most, not 11 %"):
        imported(tmp_path, "variant,mean,std,n\nplain,1,11,10\n", percent=True)
    with pytest.raises(UserError, match="score is 101 for plain"):
        imported(tmp_path, "variant,mean,std,n\nplain,101,1,10\n", percent=True)


def test_runs_without_a_std_are_said_to_count_as_one(tmp_path: Path) -> None:
    text = "variant,mean,std,n\nplain,40,1.5,4\nours,45,,5\n"
    table = import_results(tmp_path, write(tmp_path / "x.csv", text), "x", percent=True)
    assert table.remarks == ("ours has no std of score, so its 5 runs count as one.",)
    assert {row["variant"]: row["n"] for row in result_records(tmp_path, "x")} == {"plain": 4, "ours": 1}
    single = judge({"a": [0.385, 0.4, 0.415], "b": [0.435, 0.45, 0.465]}, "a").between("a", "b")
    assert single.verdict == "better"
    assert run_records(load_scores(tmp_path, "x"), "acc") == []
    with pytest.raises(UserError, match="line 2: mean, std and n need a number"):
        imported(tmp_path, "variant,mean,std,n\na,0.4,0.1,0\n")


@pytest.mark.parametrize("name", ["eval/accuracy", "acc@1", "acc, top-1", "pass@8 (greedy)"])
def test_metrics_keep_the_names_of_trackers(tmp_path: Path, name: str) -> None:
    text = f'variant,train_seed,eval_seed,"{name}"\nQwen 7B + TTT,0,0,0.5\n'
    assert imported(tmp_path, text)["Qwen 7B + TTT", name]["mean"] == 0.5


def test_imported_numbers_are_finite_and_stand_once(tmp_path: Path) -> None:
    imported(tmp_path, "variant,train_seed,eval_seed,acc\na,0,0,.5\na,1,0,.6\n")
    path = tmp_path / "runs" / "x" / "imported.parquet"
    rows = pq.read_table(path, partitioning=None)
    infinite = pa.array([float("inf"), 0.5])
    for table, reason in (
        (rows.set_column(rows.column_names.index("value"), "value", infinite), "a number is infinite"),
        (pa.concat_tables([rows, rows]), "a number stands there twice"),
    ):
        pq.write_table(table, path)
        seal_path(path).unlink(missing_ok=True)
        with pytest.raises(UserError, match=rf"imported.parquet is damaged \({reason}\). Import"):
            load_scores(tmp_path, "x")
