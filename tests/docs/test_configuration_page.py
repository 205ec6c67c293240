"""The reference page says what the schema says, and its example is a configuration."""

import re
from pathlib import Path

from komeet.config.load import parse
from komeet.config.reference import page

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `make docs`"


def test_the_examples_on_the_page_are_configurations() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert examples
    for example in examples:
        assert parse(example, {"GROQ_API_KEY": "x"}).providers
