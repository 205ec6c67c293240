"""The way to a provider: through the proxy of the environment, with the operator's TLS files, or not at all.

A call that never arrived costs nothing, and its caller waits no longer than the deadline for connecting.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import yaml
from tests.whole.gateway import ONCE, Gateway, komeet
from tests.whole.upstream import HELLO, Upstream, whole

from komeet.ledger.port import State

CERTIFICATES = Path(__file__).parents[1] / "net" / "tls"
CA = str(CERTIFICATES / "ca.pem")
SHOWN = str(CERTIFICATES / "client.pem")


class TlsUpstream(Upstream):
    """A provider that takes nobody without the certificate."""

    def serve(self, connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATES / "server.pem")
        context.load_verify_locations(SHOWN)
        context.verify_mode = ssl.CERT_REQUIRED
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            super().serve(secured)


class PlainUpstream(Upstream):
    """A server that does not speak TLS, and says so."""

    def serve(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


@pytest.fixture
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("komeet")


def provider(base_url: str, **more: object) -> dict[str, object]:
    one = {"name": "openai", "base_url": base_url, "api_key": "sk-upstream-canary", **more}
    return {"providers": [one], "failover": ONCE}


def test_a_provider_with_an_authority_and_a_certificate_of_its_own(data_dir: Path) -> None:
    with TlsUpstream() as upstream:
        config = provider(f"https://localhost:{upstream.port}/v1", tls={"ca_file": CA, "cert_file": SHOWN})
        with Gateway(data_dir, config) as gateway:
            for _ in range(2):
                assert gateway.chat().status == 200
        assert len(upstream.received) == 2


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ({"ca_file": __file__}, "openai.tls.ca_file: "),
        ({"cert_file": SHOWN, "key_file": str(CERTIFICATES / "server.pem")}, "openai.tls.key_file: "),
    ],
)
def test_a_file_that_cannot_be_used_is_said_at_the_start(tls: dict[str, str], message: str, data_dir: Path) -> None:
    path = data_dir / "test.yaml"
    path.write_text(yaml.safe_dump(provider("https://localhost:1/v1", tls=tls)))
    ended = komeet("serve", "--port", "0", "--config", str(path), data_dir=data_dir)
    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_proxy_of_the_environment_is_asked_and_its_password_is_written_nowhere(data_dir: Path) -> None:
    with Upstream(answer=lambda _: whole(HELLO)) as proxy:
        config = provider("http://box.example:8080/v1", allow_http=True) | {"log": {"level": "debug"}}
        environment = {"http_proxy": f"http://user:pr0xy-canary@127.0.0.1:{proxy.port}"}
        with Gateway(data_dir, config, environment) as gateway:
            assert gateway.chat().status == 200
        (request,) = proxy.received
        assert request.target == "http://box.example:8080/v1/chat/completions"
        assert request.headers["host"] == "box.example:8080"
        assert request.headers["proxy-authorization"] == "Basic dXNlcjpwcjB4eS1jYW5hcnk="
        assert "canary" not in gateway.errors()


def test_a_proxy_that_cannot_be_used_is_said_at_the_start(data_dir: Path) -> None:
    path = data_dir / "test.yaml"
    path.write_text(yaml.safe_dump(provider("https://localhost:1/v1")))
    ended = komeet(
        "serve", "--port", "0", "--config", str(path),
        data_dir=data_dir, environment={"ALL_PROXY": "socks5://user:pr0xy-canary@localhost:1080"},
    )  # fmt: skip
    assert ended.returncode != 0
    assert "ALL_PROXY: Komeet does not speak socks5 to proxies" in ended.stderr
    assert "canary" not in ended.stderr


@contextmanager
def refusing() -> Generator[str]:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def blackhole() -> Generator[str]:
    with socket.socket() as silent, socket.socket() as filler:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        filler.connect(silent.getsockname())  # its queue is full now: another connection gets no answer
        yield f"http://127.0.0.1:{silent.getsockname()[1]}/v1"


@contextmanager
def mute() -> Generator[str]:
    """Takes connections, and says nothing in them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"


@contextmanager
def untrusted() -> Generator[str]:
    with TlsUpstream() as upstream:
        yield f"https://localhost:{upstream.port}/v1"


@contextmanager
def no_tls() -> Generator[str]:
    with PlainUpstream() as upstream:
        yield f"https://127.0.0.1:{upstream.port}/v1"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (refusing, 502, "upstream_unreachable"),
        (untrusted, 502, "upstream_unreachable"),
        (no_tls, 502, "upstream_unreachable"),
        (blackhole, 504, "upstream_timeout"),
        (mute, 504, "upstream_timeout"),
    ],
    ids=["refused", "untrusted", "no TLS", "blackhole", "mute"],
)
def test_a_call_that_never_arrives_costs_nothing_and_is_told_in_time(
    fault: Callable[[], AbstractContextManager[str]], status: int, code: str, data_dir: Path
) -> None:
    with fault() as url, Gateway(data_dir, provider(url, deadlines={"connect": 1.0})) as gateway:
        gateway.request("GET", "/v1/models")  # the first call of all has more to do
        started = time.monotonic()
        answer = gateway.chat()
        assert time.monotonic() - started < 2.0
        assert (answer.status, answer.error["code"]) == (status, code)
        ended = gateway.outcome(answer.headers["x-request-id"])
        assert (ended.state, ended.cost) == (State.VOIDED, 0)
