"""What the documents say about the repository is so."""

import ast
import importlib.metadata
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_NAME = re.compile(r"^[A-Za-z0-9_.-]+")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def _pyproject(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text())


def _names(requirements: list[str]) -> set[str]:
    return {found[0] for each in requirements if (found := _NAME.match(each))}


def test_each_direct_dependency_has_a_reason_and_each_reason_a_dependency(root: Path) -> None:
    project = _pyproject(root)
    declared = _names(project["build-system"]["requires"]) | _names(project["project"]["dependencies"])
    for group in [*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()]:
        declared |= _names(group)
    record = (root / "docs" / "decisions" / "0003-dependencies.md").read_text()
    explained = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \|$", record, re.MULTILINE)
    assert {name for name, _ in explained} == declared
    assert all(reason.strip() for _, reason in explained)
    assert len(explained) == len(declared)


def test_each_runtime_dependency_is_used(root: Path, product: Mapping[str, ast.Module]) -> None:
    imported = {name.split(".")[0] for tree in product.values() for name in _imports(tree)}
    provided = importlib.metadata.packages_distributions()
    used = {_normal(distribution) for name in imported for distribution in provided.get(name, ())}
    declared = {_normal(name) for name in _names(_pyproject(root)["project"]["dependencies"])}
    assert not declared - used


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module)):
                yield module
            case _:
                pass


def test_records_of_decisions_are_numbered_without_a_gap_and_say_what_is_decided(root: Path) -> None:
    records = sorted((root / "docs" / "decisions").glob("[0-9]*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04d}" for number in range(len(records))]
    for record in records:
        text = record.read_text()
        assert text.startswith(f"# {record.name[:4]} "), record.name
        assert re.search(r"^Status: (proposed|accepted|superseded by \d{4})", text, re.MULTILINE), record.name
        assert "\n## Decision\n" in text, record.name


def test_every_link_between_documents_leads_somewhere(root: Path) -> None:
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    dead = [
        f"{page.relative_to(root)}: {target}"
        for page in pages
        for target in _LINK.findall(_CODE.sub("", page.read_text()))
        if not (page.parent / target).exists()
    ]
    assert not dead


def test_every_page_is_in_the_index(root: Path) -> None:
    index = (root / "docs" / "README.md").read_text()
    pages = {page.name for page in (root / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


def test_the_changelog_has_a_place_for_what_comes_and_an_entry_for_each_version(root: Path) -> None:
    headings = re.findall(
        r"^## \[([^\]]+)\](?: - \d{4}-\d{2}-\d{2})?$", (root / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert headings[0] == "Unreleased"
    assert len(set(headings)) == len(headings)


def _threats(root: Path) -> list[list[str]]:
    """Return the rows of the threat model's tables: threat, kind, mitigation, tests."""
    lines = (root / "THREAT_MODEL.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in rows if row[0] != "Threat"]


def test_every_threat_has_a_kind_and_a_mitigation(root: Path) -> None:
    rows = _threats(root)
    assert rows
    for row in rows:
        assert len(row) == 4, row
        assert re.fullmatch(r"[STRIDE](, [STRIDE])*", row[1]), row
        assert row[2], row


def test_every_test_that_the_threat_model_names_exists(root: Path, trees: Mapping[str, ast.Module]) -> None:
    for threat, _, _, tests in _threats(root):
        named = _TEST.findall(tests)
        if not named:
            assert tests == "", f"{threat}: write tests as `tests/…/test_file.py::test_name`"
        for path, name in named:
            assert path in trees, path
            functions = {node.name for node in ast.walk(trees[path]) if isinstance(node, ast.FunctionDef)}
            assert name in functions, f"{path}::{name}"


UNHELD = 0
"""Threats whose mitigation no test holds yet: the number may only go down."""


def test_threats_without_a_test_become_fewer(root: Path) -> None:
    unheld = [row[0] for row in _threats(root) if not row[3]]
    assert len(unheld) <= UNHELD, unheld
