"""The fixtures of prepared experiments."""

from tests.pipeline.fixtures import *  # noqa: F403
