"""Every mistake in the configuration file is named by its path, and no secret is shown."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.config.load import ConfigError, load, parse, schema
from komeet.core.secrets import Secret


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("providers: [{name: openai, base_url: 'ftp://x'}]", "providers[0].base_url: expected https URL"),
        (
            "providers:\n- {name: a}\n- {name: b}\n- {name: c, base_url: 'http://example.com/v1'}",
            "providers[2].base_url: expected https URL",
        ),
        ("providers: [{name: a, base_url: 'http://127.example.com/v1'}]", "http is for this machine"),
        ("providers: [{name: a, base_url: 'http://127.0.0.1.example.com/v1'}]", "http is for this machine"),
        ("providers: [{name: a, base_url: 'https://u:p@x/v1'}]", "the key goes where keys are configured"),
        ("server: {port: many}", "server.port: expected int, got str"),
        ("server: {port: 70000}", "server.port: expected int <= 65535"),
        ("server: {prot: 1}", "server.prot: there is no such option; did you mean `port`?"),
        ("sever: {}", "sever: there is no such option; did you mean `server`?"),
        ("providers: [{name: OpenAI}]", "providers[0].name: expected str matching"),
        ("providers: [{name: a}, {name: a}]", "providers[1].name: a is already providers[0]"),
        (
            "providers: [{name: a, api_key: '${NOPE}'}]",
            "providers[0].api_key: the environment variable NOPE is not set",
        ),
        ("providers: [{name: a, api_key: x, api_key_file: y}]", "give api_key or api_key_file, not both"),
        ("providers: [{name: a, headers: {'x y': z}}]", "providers[0].headers: 'x y' is not a header"),
        ("server: {port: 1}\nserver: {port: 2}", "line 2: `server` is given twice"),
        ("server: [", "line 1"),
        ("- 1", "the file: expected object, got array"),
        ("ledger: {durability: maybe}", "ledger.durability: invalid enum value 'maybe'"),
        ("ledger: {database: 'mysql://me@host/db'}", "ledger.database: expected postgresql://user@host/database"),
        ("request_log: {database: remote}", "request_log.database: expected postgresql://user@host/database, `local`"),
        ("request_log: {keep_days: 0}", "request_log.keep_days: expected int >= 1"),
    ],
)
def test_mistakes_are_named_by_their_path(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, {})
    assert message in str(caught.value)


def test_environment_variables_and_defaults_are_put_in() -> None:
    config = parse(
        "server: {port: '${PORT:-4001}'}\nproviders: [{name: openai, api_key: '${KEY}', base_url: 'https://${HOST}/v1'}]",
        {"KEY": "sk-canary", "HOST": "example.com"},
    )
    assert config.server.port == 4001
    assert config.providers is not None
    assert config.providers[0].api_key == Secret("sk-canary")
    assert config.providers[0].base_url == "https://example.com/v1"
    assert "canary" not in repr(config)


def test_an_address_of_a_database_is_a_secret_and_may_be_empty() -> None:
    text = "ledger: {database: '${DATABASE:-}'}\nrequest_log: {database: local, keep_bodies_days: 7}"
    config = parse(text, {"DATABASE": "postgresql://me:canary@host/db"})
    assert config.ledger.database == Secret("postgresql://me:canary@host/db")
    assert "canary" not in repr(config)
    assert not parse(text, {}).ledger.database
    with pytest.raises(ConfigError) as caught:
        parse(text, {"DATABASE": "postgres:canary"})
    assert "canary" not in str(caught.value)


def test_an_empty_file_is_the_defaults() -> None:
    config = parse("", {})
    assert config.providers is None
    assert config.server.port == 4000


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file"):
        load(tmp_path / "none.yaml", {})


@given(st.text(max_size=200))
def test_garbage_is_a_config_error_and_nothing_else(text: str) -> None:
    try:
        parse(text, {})
    except ConfigError as error:
        assert str(error)


def test_the_schema_names_every_option() -> None:
    text = json.dumps(schema())
    for option in ("max_body_bytes", "base_url", "api_key_file", "durability", "first_byte"):
        assert option in text
