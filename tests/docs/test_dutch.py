"""Pages in Dutch do what the English ones do: the same steps, commands, code and files, and links to the same pages."""

import re
from pathlib import Path

import pytest
from tests.docs.conftest import ROOT

ENGLISH = ROOT / "docs" / "quickstart.md"
DUTCH = ROOT / "docs" / "nl" / "snelstart.md"
_BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def steps(page: Path) -> list[tuple[str, list[str]]]:
    """The number of each section, with the blocks in it."""
    first, *rest = re.split(r"^## ", page.read_text("utf-8"), flags=re.MULTILINE)
    return [("", _BLOCK.findall(first)), *((text.partition(".")[0], _BLOCK.findall(text)) for text in rest)]


def words(page: Path) -> str:
    return _BLOCK.sub("", page.read_text("utf-8"))


def test_the_steps_have_the_same_blocks() -> None:
    assert steps(DUTCH) == steps(ENGLISH)
    assert sum(len(found) for _, found in steps(DUTCH)) == 10


@pytest.mark.parametrize("pattern", [r"`([^`\n]+)`", r"\]\((?:\.\./)?([a-z-]+\.md(?:#[a-z-]+)?)\)"])
def test_the_sentences_name_the_same_commands_and_pages(pattern: str) -> None:
    missing = set(re.findall(pattern, words(ENGLISH))) - set(re.findall(pattern, words(DUTCH)))
    assert missing == set()


def test_the_sentences_have_the_same_numbers() -> None:
    numbers = [sorted(re.findall(r"\b\d[\d.,]*\b", words(page))) for page in (ENGLISH, DUTCH)]
    assert numbers[0] == numbers[1]


def test_every_page_in_dutch_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = sorted((ROOT / "docs" / "nl").glob("*.md"))
    assert pages
    assert [page.name for page in pages if f"(nl/{page.name})" not in index] == []
