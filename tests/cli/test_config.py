"""`komeet config`: a file is checked as the server would read it, and its schema is one."""

from pathlib import Path

import pytest
from tests.cli.conftest import Komeet

GOOD = "providers:\n  - name: openai\n    api_key: ${SOME_KEY}\n"


def test_a_good_file(komeet: Komeet, tmp_path: Path) -> None:
    file = tmp_path / "komeet.yaml"
    file.write_text(GOOD)
    said = komeet("config", "check", str(file), env={"SOME_KEY": "sk-canary"})
    assert said.status == 0
    assert said.out == f"{file}: no mistakes. Providers: openai, local\n"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("provider: []", "provider: there is no such option; did you mean `providers`?"),
        ("server: {port: many}", "server.port: "),
        (
            "routes: [{name: a, groups: [{candidates: [{model: b}]}]}, {name: b, groups: [{candidates: [{model: c}]}]}]",  # noqa: E501
            "routes[0].groups[0].candidates[0].model: b is a route; a route leads to models",
        ),
        (
            "routes: [{name: a, groups: [{candidates: [{model: b}]}]}, {name: a, groups: [{candidates: [{model: c}]}]}]",  # noqa: E501
            "routes[1].name: a is already routes[0]",
        ),
        ("routes: [{name: a, groups: []}]", "routes[0].groups: "),
        ("providers: [{name: box}]", "providers[0].base_url: "),
        ("providers: [{name: openai, base_url: 'http://example.com/v1'}]", "providers[0].base_url: expected https URL"),
        ("providers: [{name: openai, api_key: '${UNSET_VARIABLE}'}]", "providers[0].api_key: "),
        ("providers: [{name: openai}]", "providers[0].api_key: "),
        ("server: {port: 1}\nserver: {port: 2}", "line 2: "),
    ],
)
def test_a_mistake_is_named_by_its_path(komeet: Komeet, tmp_path: Path, text: str, path: str) -> None:
    file = tmp_path / "komeet.yaml"
    file.write_text(text)
    for command in (("config", "check", str(file)), ("serve", "-c", str(file)), ("models", "-c", str(file))):
        said = komeet(*command)
        assert said.status == 1
        assert said.out == ""
        assert said.err.startswith(f"komeet: {file}: {path}")


@pytest.mark.parametrize("value", ["sk canary\n0123", "sk-cänary-0123"])
def test_a_key_that_cannot_be_sent_is_not_repeated(komeet: Komeet, tmp_path: Path, value: str) -> None:
    file = tmp_path / "komeet.yaml"
    file.write_text(GOOD)
    said = komeet("config", "check", str(file), env={"SOME_KEY": value})
    assert said.status == 1
    assert "providers[0]" in said.err
    assert "0123" not in said.err


def test_a_file_that_is_not_there(komeet: Komeet, tmp_path: Path) -> None:
    said = komeet("config", "check", str(tmp_path / "none.yaml"))
    assert said.status == 1
    assert "No such file" in said.err
    assert "komeet config check" in komeet("config", "check").err


def test_the_schema_describes_the_file(komeet: Komeet) -> None:
    schema = komeet("config", "schema").json
    assert set(schema["$defs"]["Config"]["properties"]) >= {"server", "providers", "embedded", "ledger", "log"}
