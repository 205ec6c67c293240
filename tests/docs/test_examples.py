"""What the documents show can be typed: commands and their options exist, code is Python, files are configurations."""

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from tests.docs.conftest import PAGES, ROOT, examples
from typer.main import get_command

from komeet.cli.commands import COMMANDS, module_of, program
from komeet.config.load import parse

_INLINE = re.compile(r"`((?:\.venv/bin/)?komeet [^`]+)`")
_GIVEN = {"GROQ_API_KEY": "x", "KOMEET_WEBHOOK_SECRET": "x" * 16, "KOMEET_PAYMENTS_SECRET": "x" * 16}


def known() -> dict[tuple[str, ...], set[str]]:
    """Every command, with its options."""
    found: dict[tuple[str, ...], set[str]] = {(): _options(get_command(program))}
    for name in COMMANDS:
        command: Any = get_command(import_module(module_of(name)).program)
        found[(name,)] = _options(command)
        for below, inner in getattr(command, "commands", {}).items():
            found[(name, below)] = _options(inner)
    return found


def _options(command: Any) -> set[str]:
    return {"-h", "--help", *(name for parameter in command.params for name in parameter.opts)}


def mistakes(words: list[str]) -> Iterator[str]:
    """What a call of komeet, without the program's own name, has that there is not."""
    commands = known()
    groups = {path[0] for path in commands if len(path) == 2} - {"usage"}  # which does something by itself
    names = tuple(word for word in words[:2] if not word.startswith("-"))
    path = names if names in commands else names[:1]
    if path not in commands or (len(path) == 1 and path[0] in groups):
        yield f"no such command: {words}"
        return
    for word in words:
        option = word.split("=")[0]
        if option.startswith("-") and option != "-" and option not in commands[path]:
            yield f"komeet {' '.join(path)} has no {option}"


def calls(script: str) -> Iterator[list[str]]:
    """Every call of komeet in a script: by itself, in a substitution, or behind `make serve`."""
    joined = script.replace("\\\n", " ")
    for line in joined.replace("$(", "\n").splitlines():
        words = shlex.split(line.strip().rstrip(")"), comments=True) if _komeet(line) else []
        while words and re.fullmatch(r"\w+=.*", words[0]):
            words.pop(0)
        if words and words[0].endswith("komeet"):
            yield words[1:]
        elif words[:2] == ["make", "serve"]:
            options = [word.removeprefix("ARGS=") for word in words[2:] if word.startswith("ARGS=")]
            yield ["serve", *(word for text in options for word in shlex.split(text))]


def _komeet(line: str) -> bool:
    return re.search(r"\bkomeet |make serve", line.partition(" #")[0]) is not None


@pytest.mark.parametrize("script", examples("sh"))
def test_commands_in_scripts_exist(script: str) -> None:
    assert [mistake for words in calls(script) for mistake in mistakes(words)] == []


def test_the_scripts_are_seen() -> None:
    seen = [words for page in PAGES for script in _scripts(page.read_text("utf-8")) for words in calls(script)]
    assert {words[0] for words in seen} >= {"serve", "key", "chat", "usage", "doctor", "config"}
    assert ["serve", "--config", "komeet.yaml"] in seen


def _scripts(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_sentences_exist(page: Any) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    named = [call.split("komeet ", 1)[1] for call in _INLINE.findall(text) if "COMMAND" not in call]
    assert [mistake for call in named for mistake in mistakes(shlex.split(call))] == []


@pytest.mark.parametrize(
    "call", ["key make", "serve --prot 1", "nothing", "key", "usage --by model --jsn", "key create --budgets=5"]
)
def test_a_mistake_is_seen(call: str) -> None:
    assert list(mistakes(shlex.split(call)))


@pytest.mark.parametrize("script", examples("sh"))
def test_targets_of_make_exist(script: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", script)) <= targets


@pytest.mark.parametrize("code", examples("python"))
def test_code_is_python(code: str) -> None:
    ast.parse(code)


@pytest.mark.parametrize("text", examples("yaml"))
def test_files_are_configurations(text: str) -> None:
    assert parse(text, _GIVEN) != parse("{}", _GIVEN)
