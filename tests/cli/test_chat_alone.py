"""`komeet chat` without a server: it runs one for as long as the answer takes, and says what the ledger says."""

import socket
from pathlib import Path

import pytest
import yaml
from tests.cli.conftest import Komeet
from tests.cli.fake import DONE, HELLO, Fake, event, running

from komeet.core.clock import SystemClock
from komeet.store.database import Store


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "komeet.yaml"


def write(config: Path, fake: Fake) -> None:
    provider = {"name": "openai", "base_url": f"http://127.0.0.1:{fake.port}/v1", "api_key": "sk-canary"}
    config.write_text(yaml.safe_dump({"providers": [provider], "embedded": {"enabled": False}}))


def test_the_cost_is_the_ledger_s(komeet: Komeet, config: Path) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    last = event(choices=[], usage=usage, id="c", object="chat.completion.chunk", created=0, model="gpt-5.2")
    with running(Fake(stream=(*HELLO[:3], last, DONE))) as provider:
        write(config, provider)
        said = komeet("chat", "Hi", "-c", str(config), "--port", free_port())
    assert (said.status, said.out) == (0, "Hello\n")
    (row,) = komeet("usage", "--json").json
    assert row["cost_nano"] == 1000 * 1_750 + 100 * 14_000  # gpt-5.2: 1.75 and 14 $ per million
    assert said.err.startswith("openai/gpt-5.2: 1,000 + 100 tokens, $0.00315, ")
    assert provider.keys == ["sk-canary"]
    assert "sk-canary" not in said.out + said.err
    assert [key["name"] for key in komeet("key", "list", "--json").json] == ["komeet chat"]


def test_a_data_directory_that_another_server_has_is_said(komeet: Komeet) -> None:
    store = Store.open(komeet.data_dir, SystemClock())
    port = free_port()
    said = komeet("chat", "Hi", "--port", port)
    store.close()
    assert said.status == 1
    assert f"no Komeet answers at http://127.0.0.1:{port} (--port says where)" in said.err
    assert "Another Komeet server (process " in said.err


def test_another_program_on_the_port_gets_no_key(komeet: Komeet) -> None:
    with running(Fake(is_komeet=False)) as other:
        store = Store.open(komeet.data_dir, SystemClock())  # so that no server of its own can be run either
        said = komeet("chat", "Hi", "--port", str(other.port))
        store.close()
    assert said.status == 1
    assert (other.calls, other.keys) == ([], [])
