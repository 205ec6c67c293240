"""The list of models as the libraries of three makers read it, each in its own shape at the addresses that it asks."""

from collections.abc import Iterator

import pytest
from anthropic import Anthropic
from google import genai
from google.genai.types import HttpOptions
from openai import OpenAI
from tests.whole.gateway import Gateway

MODELS = ("gpt-5.2", "openai/o3", "team/alpha")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = {"providers": [{"name": "mine", "base_url": "http://127.0.0.1:9/v1", "models": list(MODELS)}]}
    with Gateway(tmp_path_factory.mktemp("lists"), config=config) as running:
        yield running


def test_openai(gateway: Gateway) -> None:
    client = OpenAI(base_url=gateway.url, api_key=gateway.key)
    assert set(MODELS) <= {model.id for model in client.models.list()}
    assert client.models.retrieve("gpt-5.2").owned_by == "mine"


def test_anthropic(gateway: Gateway) -> None:
    client = Anthropic(base_url=gateway.url.removesuffix("/v1"), api_key=gateway.key)
    listed = list(client.models.list())
    assert set(MODELS) <= {model.id for model in listed}
    assert {model.type for model in listed} == {"model"}
    assert client.models.retrieve("gpt-5.2").display_name == "gpt-5.2"


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_google(gateway: Gateway, version: str) -> None:
    options = HttpOptions(base_url=gateway.url.removesuffix("/v1"), api_version=version)
    client = genai.Client(api_key=gateway.key, http_options=options)
    listed = list(client.models.list())
    assert {f"models/{name}" for name in MODELS} <= {model.name for model in listed}
    assert all("generateContent" in (model.supported_actions or ()) for model in listed)
    assert client.models.get(model="gpt-5.2").display_name == "gpt-5.2"


def test_a_key_in_the_address(gateway: Gateway) -> None:
    answer = gateway.request("GET", f"/v1beta/models?key={gateway.key}&pageSize=5", key="")
    assert answer.status == 200
    assert answer.json["models"]
    assert gateway.request("GET", "/v1beta/models?key=sk-km-no", key="").status == 401
    assert gateway.key not in gateway.errors()
