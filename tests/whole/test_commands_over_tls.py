"""Commands and TLS: a server with a certificate is known by it and no other, and providers are reached as it does."""

import json
import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.whole.gateway import Gateway, komeet, towards
from tests.whole.processes import paced
from tests.whole.test_outward import CA, CERTIFICATES, SHOWN, TlsUpstream
from tests.whole.upstream import Upstream

OURS = str(CERTIFICATES / "server.pem")
TLS = {"cert_file": OURS, "key_file": OURS}


class Secured(Gateway):
    """A gateway that speaks TLS."""

    def ask(self, *command: str, tls: Mapping[str, str] = TLS, host: str = "127.0.0.1", **environment: str) -> Any:
        """Run a command with a file that names this certificate, or another."""
        file = self.data_dir / "other.yaml"
        file.write_text(yaml.safe_dump(dict(self.config) | {"server": {"host": host, "tls": dict(tls)}}))
        options = ("--config", str(file), "--port", str(self.port))
        return komeet(*command, *options, data_dir=self.data_dir, environment=environment)


@pytest.fixture
def gateway(tmp_path: Path) -> Generator[Secured]:
    with Upstream(paced) as upstream:
        config = towards(upstream.url) | {"server": {"tls": TLS, "workers": 1}, "embedded": {"enabled": False}}
        with Secured(tmp_path, config) as running:
            yield running
        assert "canary" not in running.errors()


def server(said: Any) -> dict[str, str]:
    return next(one for one in json.loads(said.stdout)["findings"] if one["topic"] == "server")


def test_it_is_known_by_the_certificate_that_the_file_names(gateway: Secured) -> None:
    said = gateway.ask("doctor", "--json")
    assert server(said) == {"topic": "server", "state": "ok", "text": f"answers on https://127.0.0.1:{gateway.port}/v1"}
    assert gateway.ask("health", "--ready").returncode == 0
    said = gateway.ask("chat", "Hi", "-m", "gpt-5.2")
    assert (said.returncode, said.stdout) == (0, "One two three.\n")


def test_another_certificate_is_told_and_shown_no_key(gateway: Secured) -> None:
    other = {"cert_file": SHOWN, "key_file": SHOWN}
    said = gateway.ask("doctor", "--json", tls=other)
    assert said.returncode == 1
    assert server(said)["state"] == "problem"
    assert "another certificate than that of `server.tls.cert_file`" in server(said)["text"]
    said = gateway.ask("chat", "Hi", tls=other)
    assert (said.returncode, said.stdout) == (1, "")
    assert "shows another certificate" in said.stderr
    assert "no key is sent there" in said.stderr
    assert not (gateway.data_dir / "cli.key").exists()


def test_a_certificate_that_may_not_be_read_here_is_left_to_the_authorities(gateway: Secured) -> None:
    nowhere = {"cert_file": "/nowhere/cert.pem", "key_file": "/nowhere/key.pem"}
    said = gateway.ask("doctor", "--json", tls=nowhere, host="localhost")
    assert server(said)["state"] == "problem"
    said = gateway.ask("doctor", "--json", tls=nowhere, host="localhost", SSL_CERT_FILE=CA)
    assert server(said)["state"] == "ok"
    said = gateway.ask("doctor", "--json", tls=nowhere, SSL_CERT_FILE=CA)
    assert server(said)["state"] == "problem", "its name is localhost"


def test_where_there_is_no_server_one_answers_in_the_clear_for_the_one_call(tmp_path: Path) -> None:
    with Upstream(paced) as upstream, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.close()
        nowhere = {"cert_file": "/nowhere/cert.pem", "key_file": "/nowhere/key.pem"}
        (tmp_path / "k.yaml").write_text(yaml.safe_dump(towards(upstream.url) | {"server": {"tls": nowhere}}))
        said = komeet(
            "chat", "Hi", "-m", "gpt-5.2", "--config", str(tmp_path / "k.yaml"), "--port", str(port), data_dir=tmp_path
        )
        assert (said.returncode, said.stdout) == (0, "One two three.\n")


def doctor(folder: Path, file: dict[str, Any], *options: str, **environment: str) -> dict[str, list[tuple[str, str]]]:
    (folder / "k.yaml").write_text(yaml.safe_dump(file))
    said = komeet(
        "doctor", "--json", "--config", str(folder / "k.yaml"), *options, data_dir=folder, environment=environment
    )
    assert "canary" not in said.stdout + said.stderr
    found: dict[str, list[tuple[str, str]]] = {}
    for one in json.loads(said.stdout)["findings"]:
        found.setdefault(one["topic"], []).append((one["state"], one["text"]))
    return found


def at(url: str, **tls: str) -> dict[str, Any]:
    return towards(url) | {"connections": {"tls": tls}}


def test_doctor_connects_as_the_server_would_and_sends_nothing(tmp_path: Path) -> None:
    with TlsUpstream() as upstream:
        url = f"https://localhost:{upstream.port}/v1"
        found = doctor(tmp_path, at(url, ca_file=CA, cert_file=SHOWN), "--connect")
        assert found["reached"] == [("ok", "openai: connected")]
        ((state, text),) = doctor(tmp_path, at(url), "--connect")["reached"]
        assert state == "problem"
        assert f"The certificate of localhost:{upstream.port} was not accepted" in text
        assert "reached" not in doctor(tmp_path, at(url)), "unless it is told to"
        assert upstream.received == []
    ((state, text),) = doctor(tmp_path, at(url, ca_file=CA), "--connect")["reached"]
    assert (state, text) == (
        "problem",
        f"openai: No connection to localhost:{upstream.port}: the connection was refused.",
    )


def test_files_and_proxies_that_cannot_be_used_are_problems(tmp_path: Path) -> None:
    ((state, text),) = doctor(tmp_path, at("https://localhost:1/v1", ca_file=__file__))["ways"]
    assert state == "problem"
    assert "connections.tls.ca_file: " in text
    ((state, text),) = doctor(tmp_path, at("https://api.example/v1"), ALL_PROXY="socks5://u:pr0xy-canary@h:1")["ways"]
    assert (state, "socks5" in text) == ("problem", True)


@contextmanager
def proxy(heads: list[bytes]) -> Generator[int]:
    """One that lets nobody through."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                heads.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(30)


def test_doctor_goes_through_the_proxy_of_the_environment_and_says_so(tmp_path: Path) -> None:
    heads: list[bytes] = []
    with proxy(heads) as port:
        environment = {"HTTPS_PROXY": f"http://user:pr0xy-canary@127.0.0.1:{port}"}
        found = doctor(tmp_path, at("https://api.example/v1"), "--connect", **environment)
    assert found["ways"] == [("ok", f"through the proxy 127.0.0.1:{port}: openai")]
    ((state, text),) = found["reached"]
    assert state == "problem"
    assert f"127.0.0.1:{port}" in text
    assert heads[0].startswith(b"CONNECT api.example:443 HTTP/1.1\r\n")
    none = at("https://api.example/v1") | {"connections": {"proxies": "none"}}
    assert "ways" not in doctor(tmp_path, none, **environment)
