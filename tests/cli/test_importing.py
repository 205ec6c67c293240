"""`komeet import` writes a configuration that `komeet config check` takes, and shows no secret on the way."""

import json
import sqlite3
from pathlib import Path

import pytest
from tests.cli.conftest import Komeet

SOURCE = """
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: sk-canary}
  - model_name: chat
    litellm_params: {model: groq/llama, api_key: os.environ/GROQ_API_KEY, strange: canary}
general_settings: {master_key: canary-master}
"""
VARIABLES = {"IMPORTED_OPENAI_KEY": "k", "GROQ_API_KEY": "k"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "litellm.yaml"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "one-api.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        create table channels (id integer primary key, type integer, key text, status integer default 1, name text,
            base_url text, models text, `group` varchar(64) default 'default', balance real default 1.5,
            channel_info json, weight integer default 0, priority bigint default 0);
        create table options (key text primary key, value text);
        create table tokens (id integer primary key, key char(48));
        insert into channels (type, key, models) values (1, 'sk-canary', 'gpt-4o');
        insert into options values ('ModelRatio', '{"gpt-4o": 1.25}'), ('CompletionRatio', '{"gpt-4o": 4}');
        insert into tokens values (1, 'canary');
        """
    )
    connection.close()
    return path


def test_what_is_written_is_checked_without_a_mistake(komeet: Komeet, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "komeet.yaml"
    said = komeet("import", "litellm", str(source), "--out", str(out))
    assert said.status == 0, said.err
    assert "model_list[1].litellm_params.strange" in said.out
    assert "set IMPORTED_OPENAI_KEY" in said.out
    assert "canary" not in said.out + said.err + out.read_text()
    assert out.stat().st_mode & 0o077 == 0
    checked = komeet("config", "check", str(out), env=VARIABLES)
    assert checked.status == 0, checked.err
    assert "openai, groq" in checked.out


def test_a_file_that_is_there_is_not_replaced(komeet: Komeet, source: Path) -> None:
    said = komeet("import", "litellm", str(source), "--out", str(source))
    assert (said.status, source.read_text()) == (1, SOURCE)
    assert "is there already" in said.err


def test_for_programs(komeet: Komeet, source: Path) -> None:
    said = komeet("import", "litellm", str(source), "--json")
    assert "canary" not in said.out
    assert said.json["variables"][0] == {
        "name": "IMPORTED_OPENAI_KEY",
        "was_in_the_file": True,
        "why": "a key, at model_list[0].litellm_params.api_key",
    }
    assert {"kind": "unknown", "path": "model_list[1].litellm_params.strange"}.items() <= next(
        each.items() for each in said.json["findings"] if each["kind"] == "unknown"
    )
    assert said.json["config"].startswith("# Made by `komeet import` from litellm.yaml.")


def test_a_database_is_read_and_not_changed(komeet: Komeet, database: Path, tmp_path: Path) -> None:
    before = database.read_bytes()
    out = tmp_path / "komeet.yaml"
    said = komeet("import", "new-api", str(database), "--out", str(out))
    assert said.status == 0, said.err
    assert "canary" not in said.out + said.err + out.read_text()
    assert "tables.tokens" in said.out
    assert database.read_bytes() == before
    assert [path.name for path in tmp_path.glob("one-api*")] == ["one-api.db"]
    assert komeet("config", "check", str(out), env=VARIABLES).status == 0


def test_an_export_of_channels(komeet: Komeet, tmp_path: Path) -> None:
    path = tmp_path / "channels.json"
    path.write_text(json.dumps([{"id": 1, "type": 36, "key": "canary", "models": "m"}]))
    said = komeet("import", "one-api", str(path))
    assert "- name: deepseek" in said.out
    assert "canary" not in said.out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model_list: 3", "model_list: expected a list, got a number"),
        ("a: [", "line 1: "),
        ("\x00", "not YAML"),
    ],
)
def test_mistakes_of_the_file_are_said_with_its_name(komeet: Komeet, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    said = komeet("import", "litellm", str(path))
    assert said.status == 1
    assert str(path) in said.err
    assert says in said.err


def test_files_that_cannot_be_read(komeet: Komeet, tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"SQLite format 3\x00" + b"\xff" * 200)
    for command, path in (("litellm", "gone.yaml"), ("new-api", "gone.db"), ("new-api", "broken.db")):
        said = komeet("import", command, str(tmp_path / path))
        assert said.status == 1
        assert path in said.err
        assert "Traceback" not in said.err


def test_a_database_without_channels_is_said(komeet: Komeet, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("create table t (a)")
    connection.close()
    said = komeet("import", "new-api", str(path))
    assert (said.status, "the database has no channels" in said.err) == (1, True)
