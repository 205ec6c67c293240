"""The page about clients is of the clients in the manifest, at the versions in their lock files."""

import pytest
from tests.clients import page, results
from tests.clients.manifest import Client, clients
from tests.clients.provider import FORMATS

CLIENTS = [pytest.param(client, id=client.name) for client in clients()]


def test_the_page_is_up_to_date() -> None:
    assert page.PAGE.read_text("utf-8") == page.page(), (
        "run `make test-clients`, or `make docs` where only words changed"
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_was_run_on_all_its_surfaces_as_its_lock_file_says(client: Client) -> None:
    again = f'run `make test-clients ARGS="--only {client.name}"`'
    result = results.read().get(client.name)
    assert result is not None, again
    assert result.version == client.version, again
    assert result.runs.keys() == set(client.surfaces), again
    providers = {*FORMATS, *(["embedded"] if client.embedded else [])}
    assert all(by.keys() == providers for by in result.runs.values()), again


@pytest.mark.parametrize("client", CLIENTS)
def test_all_that_a_client_is_installed_with_is_pinned_by_hash(client: Client) -> None:
    lock = client.lock_file.read_text("utf-8")
    match client.kind:
        case "pip":
            pins = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
            assert all("==" in pin and pin.endswith("\\") for pin in pins)
            assert lock.count("--hash=sha256:") >= len(pins)
        case "npm":
            assert lock.count('"integrity": "sha512-') == lock.count('"node_modules/')
        case "uv.lock":
            assert client.version
