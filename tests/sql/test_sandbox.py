"""A person's SQL gets one SELECT over what it is given, whatever it tries; attempts end in a sentence."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import UserError
from core.sql.sandbox import LONGEST_SQL, MOST_AT_ONCE, Answer, Limits, Question, Views
from tests.patience import patience

MB = 2**20
LIMITS = Limits(rows=1_000, bytes=4 * MB, memory=384 * MB, seconds=8)
# What Python, DuckDB, Arrow and their threads occupy before a query begins; measured at 105 MB.
LOADED = 160 * MB

ENDLESS = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t"
REFUSED = {
    "a file as text": "SELECT * FROM read_text('/etc/passwd')",
    "a file as bytes": "SELECT * FROM read_blob('/etc/passwd')",
    "a file as CSV": "SELECT * FROM read_csv('/etc/passwd')",
    "a file by its name": "SELECT * FROM '/etc/passwd'",
    "the names of files": "SELECT * FROM glob('/etc/*')",
    "a neighbour of a given file": "SELECT * FROM read_csv('{folder}/secret.csv')",
    "a way around a given file": "SELECT * FROM read_csv('{folder}/given.parquet/../secret.csv')",
    "the environment as a file": "SELECT * FROM read_text('/proc/self/environ')",
    "a neighbour as parquet": "SELECT * FROM read_parquet('{folder}/other.parquet')",
    "neighbours by a pattern": "SELECT * FROM read_parquet('{folder}/*.parquet')",
    "a neighbour beside a given file": "SELECT * FROM read_parquet(['{folder}/given.parquet',"
    " '{folder}/other.parquet'])",
    "the columns of a neighbour": "SELECT * FROM parquet_metadata('{folder}/other.parquet')",
    "a guess at a file": "SELECT * FROM sniff_csv('{folder}/secret.csv')",
    "a file as JSON": "SELECT * FROM read_ndjson_objects('/proc/self/environ')",
    "a query in JSON": "SELECT * FROM json_execute_serialized_sql(json_serialize_sql("
    "'SELECT * FROM read_text(''/etc/passwd'')'))",
    "a name that is a path": "SELECT * FROM query_table('/etc/passwd')",
    "keys": "SELECT * FROM duckdb_secrets()",
    "a key": "CREATE SECRET s (TYPE s3)",
    "a variable": "SET VARIABLE x = 1",
    "an import": "IMPORT DATABASE '{folder}'",
    "a macro": "CREATE MACRO m(x) AS x",
    "a cleaning": "VACUUM",
    "the network": "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    "the environment": "SELECT getenv('HOME')",
    "a copy": "COPY given TO '{folder}/stolen.csv'",
    "a copy over a given file": "COPY (SELECT 1) TO '{folder}/given.parquet'",
    "an export": "EXPORT DATABASE '{folder}/stolen'",
    "a database": "ATTACH '{folder}/other.db'",
    "an extension": "INSTALL httpfs",
    "a loaded extension": "LOAD httpfs",
    "a setting": "SET enable_external_access = true",
    "a reset": "RESET lock_configuration",
    "a pragma": "PRAGMA version",
    "a call": "CALL pragma_version()",
    "a table": "CREATE TABLE t AS SELECT 1",
    "an insertion": "INSERT INTO small VALUES (1)",
    "a deletion": "DELETE FROM small",
    "a prepared statement": "PREPARE p AS SELECT 1",
    "an explanation": "EXPLAIN ANALYZE SELECT 1",
    "two statements": "SELECT 1; SELECT 2",
    "a statement behind a comment": "SELECT 1 /* ; */; -- SELECT\nCOPY given TO '{folder}/stolen.csv'",
    "a statement in another": "SELECT * FROM query('COPY given TO ''{folder}/stolen.csv''')",
    "a setting by a function": "SELECT * FROM enable_logging()",
    "a pointer": "SELECT * FROM pandas_scan(1)",
    "a parameter": "SELECT $1",
    "nothing": "  ",
    "a comment": "-- SELECT 1",
    "nonsense": "SELEKT 1",
    "a zero byte": "SELECT 1 \0; COPY given TO '{folder}/stolen.csv'",
    "an unknown table": "SELECT * FROM other",
    "deep brackets": "SELECT " + "(" * 40_000 + "1" + ")" * 40_000,
    "deep selects": "SELECT * FROM (" * 5_000 + "SELECT 1" + ")" * 5_000,
    "a long sum": "SELECT " + "1+" * 40_000 + "1",
    "an extension's files": "SELECT * FROM duckdb_extensions()",
    "an address as a table": "SELECT * FROM 'https://127.0.0.1:9/x.parquet'",
    "a bucket as a table": "FROM 's3://bucket/x.parquet'",
    "standard input": "SELECT * FROM read_text('/dev/stdin')",
    "an open file": "SELECT * FROM read_csv('/proc/self/fd/0')",
    "a folder's names": "SELECT * FROM glob('*')",
    "an insertion in a WITH": "WITH x AS (INSERT INTO small VALUES (1) RETURNING n) SELECT * FROM x",
    "a pivot, which makes a type": "PIVOT small ON n USING count(*)",
    "a checkpoint": "FORCE CHECKPOINT",
    "a transaction": "BEGIN TRANSACTION",
    "a file of profiles": "PRAGMA profiling_output = '{folder}/stolen.json'",
    "an update of extensions": "UPDATE EXTENSIONS",
    "a detachment": "DETACH memory",
    "a merge": "MERGE INTO small USING given ON true WHEN MATCHED THEN DELETE",
    "a semicolon of another width": "SELECT 1\uff1bCOPY given TO '{folder}/stolen.csv'",
    "letters of another width": "\uff33\uff25\uff2c\uff25\uff23\uff34 1",
    "a word with a space of no width": "SEL\u200bECT 1",
    "an error that draws on the terminal": "SELECT error('no [/x] markup' || chr(27) || '[2J')",
    "a struct of a thousand floors": "SELECT " + "{'a': " * 100 + "1" + "}" * 100,
    "many columns": "SELECT " + ", ".join(f"repeat('x', 1000000) AS c{n}" for n in range(1500)),
}
BOMBS = {
    "one text of a gigabyte": "SELECT repeat('x', 1000000000)",
    "texts of a hundred gigabytes": "SELECT list(repeat('x', 1000) || i) FROM range(100000000) t(i)",
    "a growing text": "SELECT string_agg(repeat('x', 100000), '') FROM range(1000000)",
    "a list": "SELECT range(1000000000)",
    "a sort": "SELECT * FROM range(1000000000) t(i) ORDER BY hash(i)",
    "a count of different products": "SELECT count(DISTINCT a.range * 7919 + b.range) FROM range(1000000) a,"
    " range(1000000) b",
    "rows of a megabyte": "SELECT repeat('x', 1000000) || range FROM range(1000000)",
    "a growing recursion": "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t)"
    " SELECT sum(length(s)) FROM t",
    "nulls, which weigh nothing": "SELECT " + ", ".join(["NULL"] * 3000) + " FROM range(20000)",
    "lists of nothing": "SELECT list_transform(range(20000), lambda i: NULL) FROM range(20000)",
    "texts behind small numbers": "SELECT '{0}'::ENUM('{0}') AS x FROM range(20000)".format("x" * 40_000),
    "a padded text": "SELECT lpad('x', 2000000000, 'y')",
    "a wide number": "SELECT format('{:>1000000000}', 1)",
    "a stretched list": "SELECT list_resize([1], 10000000000)",
    "a string of bits": "SELECT bitstring('1', 2000000000)",
    "an edit distance": "SELECT levenshtein(repeat('a', 300000), repeat('b', 300000))",
    "a long error": "SELECT error(repeat('x', 100000000))",
    "a power of lists": "SELECT list_transform(range(100000), lambda i: range(i))",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file that is given to queries and one that is not."""
    folder = tmp_path_factory.mktemp("it's a project")
    pq.write_table(pa.table({"a": [1, 2, 3], "b": ["x", "y", None]}), folder / "given.parquet")
    pq.write_table(pa.table({"word": ["secret"]}), folder / "other.parquet")
    (folder / "secret.csv").write_text("word\nsecret\n")
    return folder


def ask(folder: Path, sql: str, limits: Limits = LIMITS) -> tuple[Answer | str, Question]:
    """The answer, or the sentence that came instead of it."""
    path = folder / "given.parquet"
    view = f"CREATE VIEW given AS SELECT * FROM read_parquet(['{str(path).replace(chr(39), chr(39) * 2)}'])"
    views = Views((path,), (view,), {"small": pa.table({"n": [1, None]})}, ("given", "small"))
    question = Question(sql, views, limits)
    try:
        return question.answer(), question
    except UserError as problem:
        return str(problem), question


def rows(folder: Path, sql: str) -> list[dict]:
    answer, _ = ask(folder, sql, replace(LIMITS, seconds=60))
    assert isinstance(answer, Answer), answer
    assert answer.cut == ""
    return answer.table.to_pylist()


def assert_one_sentence(said: Answer | str) -> None:
    assert isinstance(said, str), said
    assert 10 < len(said) < 450, said
    assert said.isprintable() and "Traceback" not in said
    assert said.endswith((".", "?"))


def test_views_and_tables_answer(folder: Path) -> None:
    assert rows(folder, "SELECT a, b FROM given ORDER BY a DESC LIMIT 2; -- done") == [
        {"a": 3, "b": None},
        {"a": 2, "b": "y"},
    ]
    assert rows(folder, "WITH t AS (FROM small) SELECT sum(n) AS s, 1 AS s, avg(n) AS m FROM t") == [
        {"s": 1, "s_2": 1, "m": 1.0}
    ]
    assert rows(folder, "SELECT a FROM given WHERE false") == []
    assert rows(folder, "SELECT 1.5::DECIMAL(4, 1) AS d, 10::HUGEINT AS h") == [{"d": 1.5, "h": 10}]


def test_whatever_is_no_select_over_the_given_is_refused(folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    given = (folder / "given.parquet").read_bytes()
    texts = [sql.replace("{folder}", str(folder).replace("'", "''")) for sql in REFUSED.values()]
    with ThreadPoolExecutor(2) as several:
        answers = list(several.map(partial(ask, folder), texts))
    for name, (said, question) in zip(REFUSED, answers, strict=True):
        assert_one_sentence(said)
        assert "secret\n" not in str(said) and "root:" not in str(said), name
        assert question.running_seconds < 2 * LIMITS.seconds * patience(), name
        assert question.peak_bytes < LOADED + LIMITS.memory, name
    assert len(REFUSED) >= 68
    assert sorted(path.name for path in folder.iterdir()) == before
    assert (folder / "given.parquet").read_bytes() == given


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_stopped_in_its_memory_and_time(folder: Path, bomb: str) -> None:
    said, question = ask(folder, BOMBS[bomb], replace(LIMITS, seconds=3))
    if isinstance(said, Answer):  # a result that is cut before it is large does no harm
        assert said.cut == "bytes" and said.table.nbytes <= LIMITS.bytes
        values = sum(len(str(row)) for row in said.table.to_pylist())
        assert values < 2 * LIMITS.bytes, "and it stays small as Python's objects"
    else:
        assert_one_sentence(said)
    assert question.running_seconds < 3 + 8 * patience()
    assert 0 < question.peak_bytes < LOADED + LIMITS.memory


def test_an_endless_query_is_stopped(folder: Path) -> None:
    said, question = ask(folder, ENDLESS, Limits(seconds=2))
    assert_one_sentence(said)
    assert "longer than 2 s" in str(said)
    assert 2 <= question.running_seconds < 2 + 2 * patience()


def test_a_query_is_cancelled_from_outside(folder: Path) -> None:
    question = Question(ENDLESS, Views((), (), {}, ()), LIMITS)
    threading.Timer(0.3, question.cancel).start()
    began = time.monotonic()
    with pytest.raises(UserError, match="was cancelled"):
        question.answer()
    assert time.monotonic() - began < 3 * patience()
    assert question.done
    with pytest.raises(ProcessLookupError):
        os.kill(question._process.pid, 0)
    question.cancel()  # once more does nothing


@pytest.mark.parametrize("sql, cut, count", [
    ("SELECT range AS i FROM range(1000000000000)", "rows", 1_000),
    ("SELECT range AS i FROM range(1000)", "", 1_000),
    ("SELECT range AS i FROM range(1001)", "rows", 1_000),
])  # fmt: skip
def test_long_results_are_cut_with_a_notice(folder: Path, sql: str, cut: str, count: int) -> None:
    answer, question = ask(folder, sql, replace(LIMITS, seconds=60))
    assert isinstance(answer, Answer), answer
    assert (answer.cut, answer.table.num_rows) == (cut, count)
    assert answer.table.column("i").to_pylist() == list(range(count))
    assert question.running_seconds < 6 * patience()


def test_wide_results_are_cut_at_their_bytes(folder: Path) -> None:
    answer, _ = ask(folder, "SELECT repeat('x', 10000) AS x FROM range(100000)", Limits(bytes=12 * MB))
    assert isinstance(answer, Answer), answer
    assert answer.cut == "bytes"
    assert 1 <= answer.table.num_rows < 1_300


def test_values_that_python_cannot_hold_are_shown_as_text(folder: Path) -> None:
    """Each of these was an exception, a wrong number or bytes where the answer is read."""
    told = {
        "'infinity'::TIMESTAMP": "infinity",
        "'-infinity'::DATE": "-infinity",
        "'0044-03-15 (BC)'::DATE": "0044-03-15 (BC)",
        "'290000-01-01'::TIMESTAMP": "290000-01-01 00:00:00",
        "'24:00:00'::TIME": "24:00:00",
        "INTERVAL 13 MONTH": "1 year 1 month",
        "340282366920938463463374607431768211455::UHUGEINT": "340282366920938463463374607431768211455",
        f"{10**45}::BIGNUM": str(10**45),
        "'0101'::BIT": "0101",
        "MAP {1: 'x'}": "{1=x}",
        "['infinity'::DATE]": "[infinity]",
        "'y'::ENUM('x', 'y')": "y",
        "[1, NULL]": [1, None],
        "{'a': 1.5::DOUBLE}": {"a": 1.5},
        "[7, 8]::INTEGER[2]": [7, 8],
        "170141183460469231731687303715884105727::HUGEINT": pytest.approx(2.0**127),
    }
    columns = ", ".join(f'{sql} AS "x"' for sql in told)  # all under one name
    (row,) = rows(folder, f'SELECT {columns}, 1 AS "a""b", 2 AS "c; DROP"')
    assert list(row.values()) == [*told.values(), 1, 2]
    assert list(row)[-2:] == ['a"b', "c; DROP"]


def test_every_type_that_there_is_can_be_read(folder: Path) -> None:
    (low, high, nothing) = rows(folder, "SELECT * FROM test_all_types()")
    assert len(low) > 40 and set(nothing.values()) == {None}
    assert high["date"] == "infinity" or low["date"] != high["date"]


def test_the_environment_does_not_reach_the_query(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/the/home")
    monkeypatch.setenv("TOKEN", "the-token")
    for sql in ("SELECT current_setting('home_directory') AS x", "SELECT * FROM duckdb_settings()"):
        answer, _ = ask(folder, sql)
        assert "the-token" not in str(answer) and "/the/home" not in str(answer)
        assert not isinstance(answer, Answer) or "the/home" not in str(answer.table.to_pylist())


def test_a_query_of_book_length_or_of_half_characters_is_not_even_started(folder: Path) -> None:
    with pytest.raises(UserError, match="half a character"):
        Question("SELECT '\ud800'", Views((), (), {}, ()), LIMITS)
    with pytest.raises(UserError, match="Shorten it"):
        Question("SELECT 1" + " " * LONGEST_SQL, Views((), (), {}, ()), LIMITS)


def test_only_so_many_run_at_once(folder: Path) -> None:
    questions = [Question(ENDLESS, Views((), (), {}, ()), LIMITS) for _ in range(MOST_AT_ONCE)]
    with pytest.raises(UserError, match="queries are running"):
        Question("SELECT 1", Views((), (), {}, ()), LIMITS)
    for question in questions:
        question.cancel()
    for question in questions:
        with pytest.raises(UserError, match="was cancelled"):
            question.answer()
    assert rows(folder, "SELECT 1 AS one") == [{"one": 1}]


def test_without_the_sandbox_the_same_attacks_work(folder: Path) -> None:
    """The refusals above are the sandbox's doing, and not some lack of the attack."""
    secret = str(folder / "secret.csv").replace("'", "''")
    with duckdb.connect() as database:
        assert database.sql(f"SELECT word FROM read_csv('{secret}')").fetchall() == [("secret",)]
        assert database.sql("SELECT count(*) FROM glob('/etc/*')").fetchall()[0][0] > 0
