"""`komeet doctor`: what is configured, what is missing, and what would answer; and no secret."""

from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Komeet, Said

from komeet.cli import doctor as module
from komeet.providers import registry

CANARY = "sk-canary-0123456789"


def topics(said: Said) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in said.json["findings"]:
        found.setdefault(finding["topic"], []).append(finding)
    return found


def test_a_fresh_machine(komeet: Komeet) -> None:
    said = komeet("doctor", "--json")
    assert said.status == 0
    found = topics(said)
    assert found["keys"][0]["state"] == "note"
    assert "komeet key create" in found["keys"][0]["text"]
    assert found["embedded"][0]["state"] == "ok"
    assert {"topic": "answers", "state": "ok", "text": "smollm2-135m: local"} in found["answers"]
    assert str(komeet.data_dir) in found["data"][0]["text"]
    assert not (komeet.data_dir / "komeet.db").exists()


def test_every_provider_that_is_missing_is_named_with_its_variables(komeet: Komeet) -> None:
    missing = {one["provider"]: one["variables"] for one in komeet("doctor", "--json").json["missing"]}
    rows = {row.name: row for row in registry.load().values() if not row.embedded}
    assert set(missing) == set(rows)
    assert missing["openai"] == ["OPENAI_API_KEY"]
    assert missing["ollama"] == ["OLLAMA_HOST"]
    said = komeet("doctor")
    assert all(variables[0] in said.out for variables in missing.values())
    assert sum("missing" in line for line in said.lines) == 1


@pytest.mark.parametrize(
    "row",
    # A service account's key is a file (tests/config/test_credentials.py).
    [row for row in registry.load().values() if not row.embedded and row.auth != "service_account"],
    ids=lambda row: row.name,
)
def test_the_first_variable_of_a_provider_configures_it(row: registry.Row) -> None:
    variable, *_ = module.variables(row)
    value = "http://127.0.0.1:1/v1" if variable in (*row.base_url_env, *row.host_env) else CANARY
    region = {"AWS_REGION": "eu-west-1"} if row.auth == "aws" else {}
    address = {} if row.placed else {(*row.base_url_env, *row.host_env)[0]: "https://ours.example/v1"}
    assert registry.found_in(row, {variable: value} | region | address) is not None
    for needed in (region, address):
        assert not needed or registry.found_in(row, {variable: value}) is None


def test_a_provider_of_the_environment_is_there_and_its_key_is_not_shown(komeet: Komeet) -> None:
    for flags in ((), ("--json",)):
        said = komeet("doctor", *flags, env={"OPENAI_API_KEY": CANARY})
        assert said.status == 0
        assert "openai: https://api.openai.com/v1, " in said.out
        assert CANARY not in said.out + said.err
    assert "openai" not in {one["provider"] for one in said.json["missing"]}


def test_a_file_says_which_providers_there_are(komeet: Komeet, tmp_path: Path) -> None:
    file = tmp_path / "komeet.yaml"
    file.write_text("providers: [{name: box, base_url: 'http://127.0.0.1:9/v1'}]\nembedded: {enabled: false}\n")
    said = komeet("doctor", "--json", "--config", str(file), env={"OPENAI_API_KEY": CANARY})
    found = topics(said)
    assert said.json["missing"] == []
    assert [one["text"] for one in found["providers"]] == [
        "box: http://127.0.0.1:9/v1, no key, asked by `box/MODEL`",
    ]
    assert found["config"][0]["text"] == str(file)
    assert found["embedded"][0]["text"] == "switched off by the configuration"


def test_what_has_to_be_put_right_ends_with_status_1(komeet: Komeet) -> None:
    komeet.data_dir.mkdir()
    (komeet.data_dir / "komeet.db").write_bytes(b"this is no database" * 500)
    said = komeet("doctor")
    assert said.status == 1
    assert "✗ keys" in said.out
    assert "Traceback" not in said.out + said.err


def test_nobody_to_answer_is_a_problem(komeet: Komeet, tmp_path: Path) -> None:
    file = tmp_path / "komeet.yaml"
    file.write_text("embedded: {enabled: false}\n")
    said = komeet("doctor", "--json", "-c", str(file))
    assert said.status == 1
    assert topics(said)["providers"][0]["state"] == "problem"


def test_without_the_embedded_model_another_provider_will_do(komeet: Komeet, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: Path) -> str:
        return "Run `komeet model pull`."

    monkeypatch.setattr(module, "missing_model", missing)
    alone, accompanied = komeet("doctor", "--json"), komeet("doctor", "--json", env={"OPENAI_API_KEY": CANARY})
    assert (alone.status, accompanied.status) == (1, 0)
    for said in (alone, accompanied):
        assert topics(said)["embedded"][0]["text"] == "Run `komeet model pull`."


def test_it_says_where_it_looked_for_the_server(komeet: Komeet) -> None:
    assert "http://127.0.0.1:9" in topics(komeet("doctor", "--json", "--port", "9"))["server"][0]["text"]


def test_an_address_in_the_clear_is_noted(komeet: Komeet, tmp_path: Path) -> None:
    file = tmp_path / "komeet.yaml"
    near = "{name: near, base_url: 'http://127.0.0.1:9/v1'}"
    far = "{name: far, base_url: 'http://box.example:9/v1', allow_http: true}"
    file.write_text(f"providers: [{near}, {far}]\n")
    notes = {one["text"]: one["state"] for one in topics(komeet("doctor", "--json", "-c", str(file)))["providers"]}
    assert list(notes.values()) == ["ok", "note"]
    assert all(("in the clear" in text) is text.startswith("far: ") for text in notes)


def test_what_the_file_names_and_what_ends_is_said(komeet: Komeet, tmp_path: Path) -> None:
    file = tmp_path / "komeet.yaml"
    file.write_text(
        "providers: [{name: openai, api_key: sk-x}]\n"
        "aliases: {smart: openai/gpt-5.2-chat-latest, fine: openai/gpt-5.2}\n"
        "routes: [{name: r, groups: [{candidates: [{model: openai/going}, {model: smart}]}]}]\n"
        "models: {lifecycle: [{provider: openai, model: going, shutdown: 2999-01-01, successor: new}]}\n"
    )
    said = komeet("doctor", "--config", str(file), "--json")
    gone, going = (finding["text"] for finding in topics(said)["ends"])
    assert "`gpt-5.2-chat-latest` was shut down on 2026-08-10 by openai; `openai/gpt-5.5` replaces it" in gone
    assert going == "going (openai): 2999-01-01; new replaces it"
