"""KOMEET_CONFIG, KOMEET_DATA_DIR and KOMEET_PORT stand for the options of every command; an option wins over them."""

from pathlib import Path

import pytest
from tests.cli.conftest import Komeet, Said

READERS = (("key", "list"), ("usage",), ("doctor",), ("models",))


def finding(said: Said, topic: str) -> str:
    return next(one["text"] for one in said.json["findings"] if one["topic"] == topic)


def test_the_data_directory(komeet: Komeet, tmp_path: Path) -> None:
    other = tmp_path / "other"
    komeet.key("--name", "here")
    komeet.key("--name", "there", "--data-dir", str(other))
    assert [key["name"] for key in komeet("key", "list", "--json").json] == ["here"]
    assert [key["name"] for key in komeet("key", "list", "--json", env={"KOMEET_DATA_DIR": str(other)}).json] == [
        "there"
    ]
    assert finding(komeet("doctor", "--json", "--data-dir", str(other)), "data") == str(other)


def test_the_data_directory_of_the_file_is_the_weakest(komeet: Komeet, tmp_path: Path) -> None:
    file = tmp_path / "komeet.yaml"
    file.write_text(f"data_dir: {tmp_path}/of-the-file\n")
    config = {"KOMEET_CONFIG": str(file)}
    assert finding(komeet("doctor", "--json", env=config), "data") == str(komeet.data_dir)
    assert (
        finding(komeet("doctor", "--json", env=config | {"KOMEET_DATA_DIR": ""}), "data") == f"{tmp_path}/of-the-file"
    )


def test_without_a_word_data_is_in_the_home_directory(komeet: Komeet, tmp_path: Path) -> None:
    nowhere = {"KOMEET_DATA_DIR": ""}
    assert finding(komeet("doctor", "--json", env=nowhere), "data") == f"{tmp_path}/.local/share/komeet"
    xdg = nowhere | {"XDG_DATA_HOME": f"{tmp_path}/xdg"}
    assert finding(komeet("doctor", "--json", env=xdg), "data") == f"{tmp_path}/xdg/komeet"


def test_the_configuration(komeet: Komeet, tmp_path: Path) -> None:
    file = tmp_path / "komeet.yaml"
    file.write_text("embedded: {enabled: false}\nproviders: []\n")
    config = {"KOMEET_CONFIG": str(file)}
    assert "none" in komeet("config", "check", env=config).out
    assert komeet("models", "--json", env=config).json == []
    other = tmp_path / "other.yaml"
    other.write_text("{}")
    assert komeet("models", "--json", "-c", str(other), env=config).json != []


def test_the_port(komeet: Komeet, tmp_path: Path) -> None:
    file = tmp_path / "komeet.yaml"
    file.write_text("server: {port: 7}\n")
    of_the_file = {"KOMEET_CONFIG": str(file)}
    of_the_environment = of_the_file | {"KOMEET_PORT": "8"}
    assert "127.0.0.1:7:" in finding(komeet("doctor", "--json", env=of_the_file), "server")
    assert "127.0.0.1:8:" in finding(komeet("doctor", "--json", env=of_the_environment), "server")
    assert "127.0.0.1:9:" in finding(komeet("doctor", "--json", "-p", "9", env=of_the_environment), "server")


@pytest.mark.parametrize("command", READERS)
def test_a_wrong_port_or_file_in_the_environment_is_a_mistake(komeet: Komeet, command: tuple[str, ...]) -> None:
    said = komeet(*command, env={"KOMEET_CONFIG": "/nowhere/komeet.yaml"})
    assert (said.status, said.out) == (1, "")
    assert "/nowhere/komeet.yaml" in said.err
    if command == ("doctor",):
        assert komeet(*command, env={"KOMEET_PORT": "many"}).status == 2


@pytest.mark.parametrize("command", [("key", "list"), ("key", "create"), ("usage",), ("doctor",), ("models",)])
def test_a_data_directory_that_is_a_file_is_a_mistake(komeet: Komeet, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "file").touch()
    said = komeet(*command, "--data-dir", str(tmp_path / "file"))
    assert (said.status, said.out) == (1, "")
    assert f"the data directory {tmp_path}/file is a file" in said.err
