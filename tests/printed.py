"""What a verb prints."""

from pathlib import Path

from typer.testing import CliRunner

from core.__main__ import app


def printed(root: Path, *words: str) -> str:
    """The output of a verb on a project, which ends well."""
    result = CliRunner().invoke(app, [*words, "--root", str(root)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout
