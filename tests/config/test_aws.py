"""Providers of AWS in the configuration: a key, or credentials that sign, and a region."""

import pytest

from komeet.config.load import ConfigError, parse
from komeet.config.providers import find
from komeet.core.secrets import Secret
from komeet.providers import registry
from komeet.providers.provider import Provider

ROW = b"""
[[provider]]
name = "cloud"
title = "Cloud"
base_url = "https://cloud.{region}.amazonaws.com"
formats = ["openai_chat"]
family = "cloud"
auth = "aws"
key_env = ["CLOUD_KEY"]
stream_usage = "always"
rank = 30
docs = "https://example.com"
"""
WHOLE = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "canary", "AWS_REGION": "eu-west-1"}


@pytest.fixture(autouse=True)
def _only_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = registry.parse(ROW)
    monkeypatch.setattr(registry, "load", lambda: rows)


def _found(text: str, environment: dict[str, str]) -> Provider:
    (provider,) = find(parse(text, environment), environment).providers
    return provider


def test_credentials_and_region_come_from_the_variables_of_aws() -> None:
    for text in ("", "providers: [{name: cloud}]"):
        provider = _found(text, WHOLE)
        assert provider.origin.host == "cloud.eu-west-1.amazonaws.com"
        assert provider.signing is not None
        assert (provider.signing.region, provider.signing.credentials.access_key_id) == ("eu-west-1", "AKIDEXAMPLE")
        assert provider.credential is None
        assert "canary" not in repr(provider)


def test_they_may_stand_in_the_file() -> None:
    text = """
providers:
  - name: cloud
    aws: {access_key_id: ASIAEXAMPLE, secret_access_key: "${KEY}", session_token: "${TOKEN}", region: us-gov-west-1}
"""
    provider = _found(text, {"KEY": "canary-1", "TOKEN": "canary-2", **WHOLE})
    assert provider.origin.host == "cloud.us-gov-west-1.amazonaws.com"
    assert provider.signing is not None
    assert provider.signing.credentials.access_key_id == "ASIAEXAMPLE"
    assert provider.signing.credentials.session_token == Secret("canary-2")
    assert "canary" not in repr(provider)


def test_a_key_of_the_service_needs_no_signature() -> None:
    for text, environment in [
        ("", {**WHOLE, "CLOUD_KEY": "k"}),
        ("providers: [{name: cloud, api_key: k}]", WHOLE),
        ("providers: [{name: cloud, api_key: k, aws: {region: eu-west-1}}]", {}),
    ]:
        provider = _found(text, environment)
        assert provider.credential == Secret("k")
        assert provider.signing is None
        assert provider.origin.host == "cloud.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("{name: cloud}", {}, "providers[0].aws.region: cloud is asked in a region; give one, or set AWS_REGION"),
        ("{name: cloud, aws: {region: EU}}", {}, "providers[0].aws.region: 'EU' is not a region of AWS"),
        ("{name: cloud, aws: {region: eu-west-1}}", {}, "providers[0].aws: no credentials; give `access_key_id`"),
        (
            "{name: cloud, aws: {region: eu-west-1, access_key_id: AKIDEXAMPLE}}",
            {},
            "providers[0].aws: `access_key_id` and `secret_access_key` go together",
        ),
        (
            "{name: cloud, aws: {region: eu-west-1, access_key_id: AKIDEXAMPLE, secret_access_key: 'can ary'}}",
            {},
            "providers[0].aws: a secret access key of AWS is printable ASCII",
        ),
    ],
)
def test_what_is_missing_is_named_by_its_path(text: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(parse(f"providers: [{text}]", environment), environment)
    assert message in str(caught.value)
    assert "can ary" not in str(caught.value)
