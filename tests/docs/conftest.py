"""The pages that people read, and what is fenced in them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "nl").glob("*.md")))
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def fenced(page: Path, language: str) -> list[str]:
    """The blocks of a language on a page."""
    return [text for name, text in _FENCE.findall(page.read_text("utf-8")) if name == language]


def examples(language: str) -> list[object]:
    """Every block of a language, as parameters of a test."""
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, text in enumerate(fenced(page, language))
    ]
