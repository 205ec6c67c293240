"""A model that answers, for the tests that only ask it."""

from collections.abc import Generator

import pytest
from tests.local.endpoint import Endpoint, child, orders, ready


@pytest.fixture(scope="module")
def model() -> Generator[Endpoint]:
    """The real model in its real process, without a supervisor."""
    with child(orders()) as process:
        yield ready(process)
