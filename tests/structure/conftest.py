"""What every test of the structure reads: the repository's own Python, parsed once."""

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def trees() -> Mapping[str, ast.Module]:
    """Every Python file by its path in the repository."""
    files = [file for folder in ("src", "tests", "bench") for file in sorted((ROOT / folder).rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(), str(file)) for file in files}


@pytest.fixture(scope="session")
def product(trees: Mapping[str, ast.Module]) -> Mapping[str, ast.Module]:
    """The files that users run."""
    return {path: tree for path, tree in trees.items() if path.startswith("src/")}
