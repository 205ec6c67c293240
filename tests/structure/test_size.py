"""Files and functions stay small enough to be read whole."""

import ast
from collections.abc import Mapping
from pathlib import Path

FUNCTION_LINES = 70
FILE_LINES = 500
TEST_FILE_LINES = 800

ALLOWED: Mapping[str, int] = {}
"""What is longer, and how long it was when it was let in: an entry may shrink or go, never grow or come."""


def _lengths(path: str, tree: ast.Module, lines: int) -> dict[str, int]:
    """Return what of a file is too long, with its lines: `path`, or `path::function`; a migration is one long list."""
    found: dict[str, int] = {}
    if lines > (TEST_FILE_LINES if path.startswith("tests/") else FILE_LINES):
        found[path] = lines
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "/migrations/versions/" not in path:
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                found[f"{path}::{node.name}"] = length
    return found


def test_nothing_is_too_long_and_the_exceptions_only_shrink(root: Path, trees: Mapping[str, ast.Module]) -> None:
    found: dict[str, int] = {}
    for path, tree in trees.items():
        found |= _lengths(path, tree, len((root / path).read_text().splitlines()))
    grown = {name: lines for name, lines in found.items() if lines > ALLOWED.get(name, 0)}
    assert not grown, f"Too long: cut in two along its purposes. {grown}"
    shrunk = {name: (was, found.get(name)) for name, was in ALLOWED.items() if found.get(name) != was}
    assert not shrunk, f"Shorter than ALLOWED says: write the new length there, or take it out. {shrunk}"


def test_a_long_function_and_a_long_file_are_seen() -> None:
    text = "def long():\n" + "    pass\n" * FUNCTION_LINES
    assert _lengths("src/a.py", ast.parse(text), FUNCTION_LINES + 1) == {"src/a.py::long": FUNCTION_LINES + 1}
    assert _lengths("src/a.py", ast.parse(""), FILE_LINES + 1) == {"src/a.py": FILE_LINES + 1}
    assert _lengths("tests/a.py", ast.parse(""), FILE_LINES + 1) == {}
