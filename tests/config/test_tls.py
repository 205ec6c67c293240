"""Files for TLS to providers: found when the configuration is read, and for the provider that they were given to."""

from pathlib import Path

import pytest

from komeet.config.load import ConfigError, parse
from komeet.config.providers import find
from komeet.config.tls import tls_files
from komeet.core.http import TlsFiles

MINE = "name: mine, base_url: 'https://mine.example/v1'"


def test_a_provider_has_its_own_files_and_the_others_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_text("x")
    monkeypatch.setenv("HOME", str(tmp_path))
    text = f"providers: [{{{MINE}, tls: {{ca_file: ~/ca.pem}}}}, {{name: openai, api_key: k}}]"
    mine, other = find(parse(text, {}), {}).providers[:2]
    assert mine.origin.tls == TlsFiles(ca_file=str(tmp_path / "ca.pem"))
    assert other.origin.tls is None


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        (f"{MINE}, tls: {{ca_file: /missing.pem}}", r"providers\[0\]\.tls\.ca_file: /missing\.pem: No such file"),
        (f"{MINE}, tls: {{key_file: /missing.pem}}", r"providers\[0\]\.tls\.key_file: .*give cert_file too"),
        (f"{MINE}, tls: {{verify: false}}", r"providers\[0\]\.tls\.verify: there is no such option"),
        ("name: mine, base_url: 'http://127.0.0.1/v1', tls: {ca_file: /dev/null}", r"providers\[0\]\.tls: .* is http"),
    ],
)
def test_what_cannot_be_is_named_by_its_path(provider: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find(parse(f"providers: [{{{provider}}}]", {}), {})


def test_a_directory_is_no_file_of_what_is_common(tmp_path: Path) -> None:
    config = parse(f"connections: {{tls: {{ca_file: {tmp_path}}}}}", {})
    with pytest.raises(ConfigError, match=r"connections\.tls\.ca_file: .*: Is a directory"):
        tls_files(config.connections.tls, "connections.tls")
    assert tls_files(parse("", {}).connections.tls, "connections.tls") is None
