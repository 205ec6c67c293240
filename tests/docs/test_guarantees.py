"""What the page of guarantees names as holding a promise is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_promise_is_held_by_tests_that_there_are() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+(?:\.py)?)`", text)
    assert len(named) > 50
    assert [path for path in named if not (ROOT / path).exists()] == []
