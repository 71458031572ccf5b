"""The texts of an attempt can be read, whatever its template fills its rows up with."""

from dashboard.components.attempts import with_line_ends


def test_many_line_ends_take_one_line() -> None:
    assert with_line_ends("7700\n\n\n\n\n\n7077\n\n00\n0") == "7700 ↵×6\n7077\n\n00\n0"
