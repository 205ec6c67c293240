"""The page about providers says what the registry says, and explains each of its fields."""

import re
from pathlib import Path

from komeet.cli.provider_reference import page
from komeet.providers.registry import Row, load, parse

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `make docs`"


def test_each_provider_has_its_line() -> None:
    named = re.findall(r"^\| `([\w.-]+)` \| \[", PAGE.read_text("utf-8"), re.MULTILINE)
    assert named == [row.name for row in load().values() if not row.embedded]


def test_each_field_of_a_row_is_explained_and_each_explanation_has_a_field() -> None:
    text = PAGE.read_text("utf-8").split("## A new row")[1]
    explained = [
        name for cell in re.findall(r"^\| (`.*?`) \| ", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    ]
    assert sorted(explained) == sorted(Row.__struct_fields__)


def test_the_example_of_a_row_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert list(parse(example.encode())) == ["example"]
