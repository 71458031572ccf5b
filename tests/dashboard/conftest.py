"""A dashboard for the tests of what it serves."""

from collections.abc import Iterator

import pytest

from core.bench.pages import served
from tests.patience import wait_for
from tests.served import answers


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("project")) as (port, _):
        wait_for(lambda: answers(port))
        yield f"http://127.0.0.1:{port}"
