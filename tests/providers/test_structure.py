"""Adding a provider touches one row: no module outside `providers` names one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import komeet
from komeet.providers import registry

SOURCE = Path(komeet.__file__).parent

WHERE_LOCAL_IS_NAMED = {"app.py", "local", "config", "cli", "store"}
"""The embedded model is started by name, and a request log may be local: the rooms that may say the word."""


def literals(tree: ast.AST) -> Iterator[str]:
    """Yield the string literals of a module that are not docstrings."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def test_literals_are_seen_and_docstrings_are_not() -> None:
    tree = ast.parse('"openai"\nx = "groq"\ndef f(y="xai"):\n    "mistral"\n    return f"zai{y}"\n')
    assert set(literals(tree)) == {"groq", "xai", "zai"}


def test_no_module_outside_providers_names_a_provider() -> None:
    names = registry.load().keys()

    def may_name(place: Path, literal: str) -> bool:
        return literal == "local" and place.parts[0] in WHERE_LOCAL_IS_NAMED

    places = [path.relative_to(SOURCE) for path in sorted(SOURCE.rglob("*.py"))]
    named = [
        f"{place}: {literal!r}"
        for place in places
        if place.parts[0] != "providers"
        for literal in literals(ast.parse((SOURCE / place).read_text("utf-8")))
        if literal in names and not may_name(place, literal)
    ]
    assert not named
