"""The libraries that are installed anyway run their cases, each with a provider of its own format and with another's.

`make test-clients` runs them with all, and the other clients too.
"""

from collections.abc import Iterator

import pytest
from tests.clients import results
from tests.clients.environments import environment
from tests.clients.manifest import clients
from tests.clients.stage import Stage


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "surface", "provider"),
    [
        ("openai", "openai_chat", "openai_chat"),
        ("openai", "openai_chat", "gemini"),
        ("openai", "openai_responses", "openai_responses"),
        ("openai", "openai_responses", "anthropic_messages"),
        ("anthropic", "anthropic_messages", "anthropic_messages"),
        ("anthropic", "anthropic_messages", "openai_chat"),
        ("google-genai", "gemini", "gemini"),
        ("google-genai", "gemini", "openai_responses"),
    ],
)
def test_a_library_passes_what_the_page_says(stage: Stage, name: str, surface: str, provider: str) -> None:
    client = next(client for client in clients() if client.name == name)
    ran = stage.run(client, environment(client), surface, provider)
    known = results.read()[name].runs[surface][provider]
    assert ran.failed.keys() == known.failed.keys(), ran.failed
    assert ran.passed == known.passed >= 10
