"""The Launch page says where runs go and what they get there, as the command that does the same."""

from pathlib import Path

import pytest

from core.cluster import settings as cluster_module
from core.cluster.settings import ClusterSettings, cluster_of
from core.launching import launch as launch_module
from tests.dashboard.alone import page_alone
from tests.shown import as_read
from tests.specs.tiny import spec_file
from tests.training.tiny import tiny_root


def test_a_launch_goes_to_the_chosen_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tiny_root(tmp_path)
    spec_file(root)
    monkeypatch.setattr(cluster_module, "start_detached", lambda *_: None)
    monkeypatch.setattr(launch_module, "ensure_worker", lambda _: pytest.fail("a worker of this machine"))
    page = page_alone(root, "launch", monkeypatch)
    assert page.code[0].value == "python -m core launch trial"
    page.button_group(key="trial runs on").set_value("Ray cluster").run(timeout=60)
    page.number_input(key="form:cluster.shards").set_value(4).run(timeout=60)
    assert page.code[0].value == "python -m core launch trial --on ray --shards 4"
    next(button for button in page.button if button.label == "Launch").click().run(timeout=60)
    assert cluster_of(root, "trial") == ClusterSettings(shards=4)


def test_a_store_is_named_and_an_address_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny_root(tmp_path)
    spec_file(root)
    page = page_alone(root, "launch", monkeypatch)
    page.button_group(key="trial runs on").set_value("Ray cluster").run(timeout=60)
    page.text_input(key="form:cluster.store").set_value("/mnt/bucket").run(timeout=60)
    assert not page.exception
    assert "a store is an address: s3://bucket/folder" in as_read(page.error[0].value)
    page.text_input(key="form:cluster.store").set_value(f"file://{tmp_path}/bucket").run(timeout=60)
    assert page.code[0].value == f"python -m core launch trial --on ray --store file://{tmp_path}/bucket"
