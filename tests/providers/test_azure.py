"""Azure OpenAI's dated API: the deployment in the path, the version in the query, the key in its own header."""

import pytest

from komeet.core.secrets import Secret
from komeet.providers import registry
from komeet.providers.azure.deployments import dated
from komeet.providers.provider import make, outgoing

ROW = registry.load()["azure"]
HERE = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com", "AZURE_OPENAI_API_KEY": "k"}


@pytest.mark.parametrize(
    "base_url",
    ["https://res.openai.azure.com/openai/v1", "https://res.openai.azure.com/openai/", "https://res.openai.azure.com"],
)
@pytest.mark.parametrize(("wire", "path"), [("openai_chat", "/chat/completions"), ("openai_embeddings", "/embeddings")])
def test_a_deployment_is_asked_by_its_name(base_url: str, wire: str, path: str) -> None:
    provider = dated(registry.provider_of(ROW, base_url=base_url, credential=Secret("k")), "2024-10-21")
    made = outgoing(provider, wire=wire, path=path, body=b"{}", at_ms=0, model="my gpt/4o?")
    assert made.target == f"/openai/deployments/my%20gpt%2F4o%3F{path}?api-version=2024-10-21"
    assert dict(made.headers)[b"api-key"] == b"k"
    assert b"authorization" not in dict(made.headers)


def test_the_variable_of_its_own_client_asks_for_it() -> None:
    newer = registry.found_in(ROW, HERE)
    older = registry.found_in(ROW, HERE | {"OPENAI_API_VERSION": "2025-04-01-preview"})
    assert newer is not None
    assert older is not None
    assert newer.formats == ROW.formats
    assert older.formats == tuple(name for name in ROW.formats if name != "openai_responses")
    assert older.query == "api-version=2025-04-01-preview"
    assert older.price_id == "azure"


def test_what_is_no_version_does_not_reach_the_address() -> None:
    for version in ("v1", "2024-10-21&x=1", ""):
        with pytest.raises(ValueError, match="is not a version"):
            dated(registry.provider_of(ROW), version)
    with pytest.raises(ValueError, match="only"):
        dated(make(name="a", base_url="https://h", formats=("openai_responses",)), "2024-10-21")
