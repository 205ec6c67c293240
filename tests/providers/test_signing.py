"""AWS's signatures: as AWS publishes them, and as its own library makes them; no secret is ever shown."""

import sys
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from komeet.core.http import Deadlines, Origin, Outgoing
from komeet.core.secrets import Secret
from komeet.providers.signing import (
    AwsCredentials,
    checked,
    checked_region,
    credentials_in,
    in_region,
    region_in,
    require,
    sign,
)

EXAMPLE = AwsCredentials(
    access_key_id="AKIDEXAMPLE", secret_access_key=Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
)
AT = int(datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp() * 1000)


def _outgoing(**members: Any) -> Outgoing:
    told: dict[str, Any] = {
        "origin": Origin("https", "bedrock-runtime.us-east-1.amazonaws.com", 443),
        "target": "/model/amazon.nova-micro-v1%3A0/converse",
        "headers": ((b"content-type", b"application/json"), (b"user-agent", b"komeet")),
        "body": b'{"messages":[]}',
        "deadlines": Deadlines(),
    }
    return Outgoing(**{**told, **members})


@pytest.mark.parametrize(
    ("method", "target", "signature"),
    [
        ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", "/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ],
    ids=["get-vanilla", "post-vanilla", "get-vanilla-query-order-key-case"],
)
def test_the_published_vectors_of_aws(method: str, target: str, signature: str) -> None:
    origin = Origin("https", "example.amazonaws.com", 443)
    outgoing = _outgoing(origin=origin, method=method, target=target, headers=(), body=b"")
    headers = dict(sign(outgoing, EXAMPLE, service="service", region="us-east-1", at_ms=AT))
    assert headers[b"x-amz-date"] == b"20150830T123600Z"
    assert headers[b"authorization"] == (
        b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request,"
        b" SignedHeaders=host;x-amz-date, Signature=" + signature.encode()
    )


@pytest.mark.parametrize("token", [None, "a/long+token=="])
@pytest.mark.parametrize(
    "origin",
    [Origin("https", "bedrock-runtime.us-east-1.amazonaws.com", 443), Origin("http", "127.0.0.1", 8080)],
)
def test_the_same_as_the_whole_of_the_library(
    token: str | None, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.fromtimestamp(AT / 1000, UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now)
    outgoing = _outgoing(origin=origin)
    port = "" if origin.port == 443 else f":{origin.port}"
    request: Any = botocore.awsrequest.AWSRequest(
        method="POST",
        url=f"{origin.scheme}://{origin.host}{port}{outgoing.target}",
        headers={"content-type": "application/json"},
        data=outgoing.body,
    )
    secret = EXAMPLE.secret_access_key.reveal()
    signer: Any = botocore.auth.SigV4Auth(
        botocore.credentials.Credentials(EXAMPLE.access_key_id, secret, token), "bedrock", "us-east-1"
    )
    signer.add_auth(request)
    credentials = AwsCredentials(
        access_key_id=EXAMPLE.access_key_id,
        secret_access_key=EXAMPLE.secret_access_key,
        session_token=None if token is None else Secret(token),
    )
    headers = dict(sign(outgoing, credentials, service="bedrock", region="us-east-1", at_ms=AT))
    for name, value in headers.items():
        assert request.headers[name.decode()] == value.decode()


def test_every_part_of_a_request_is_in_its_signature() -> None:
    signatures = {
        dict(sign(outgoing, EXAMPLE, service="bedrock", region=region, at_ms=at))[b"authorization"]
        for outgoing, region, at in [
            (_outgoing(), "us-east-1", AT),
            (_outgoing(), "us-east-1", AT + 1000),
            (_outgoing(), "eu-central-1", AT),
            (_outgoing(body=b"{}"), "us-east-1", AT),
            (_outgoing(target="/model/amazon.nova-micro-v1:0/converse"), "us-east-1", AT),
            (_outgoing(method="PUT"), "us-east-1", AT),
            (_outgoing(headers=((b"content-type", b"text/plain"),)), "us-east-1", AT),
            (_outgoing(origin=Origin("https", "example.com", 443)), "us-east-1", AT),
        ]
    }
    assert len(signatures) == 8


def test_headers_that_may_change_on_the_way_are_not_signed() -> None:
    plain = sign(_outgoing(), EXAMPLE, service="bedrock", region="us-east-1", at_ms=AT)
    other = _outgoing(headers=((b"content-type", b"application/json"), (b"accept", b"x"), (b"user-agent", b"y")))
    assert sign(other, EXAMPLE, service="bedrock", region="us-east-1", at_ms=AT) == plain


def test_credentials_show_no_secret() -> None:
    made = checked("AKIDEXAMPLE", Secret("canary-1"), Secret("canary-2"))
    assert "canary" not in repr(made)
    assert "AKIDEXAMPLE" in repr(made)


@pytest.mark.parametrize(
    ("key_id", "secret", "token"),
    [
        ("AKIA KEY", "canary", None),
        ("", "canary", None),
        ("AKIDEXAMPLE", "can ary", None),
        ("AKIDEXAMPLE", "canary", "\n"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused_without_being_shown(
    key_id: str, secret: str, token: str | None
) -> None:
    with pytest.raises(ValueError, match="of AWS is") as caught:
        checked(key_id, Secret(secret), None if token is None else Secret(token))
    assert "ary" not in str(caught.value).replace("library", "")


def test_credentials_are_found_in_the_variables_of_aws() -> None:
    half = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}
    whole = half | {"AWS_SECRET_ACCESS_KEY": " s "}
    assert credentials_in({}) is None
    assert credentials_in({"AWS_ACCESS_KEY_ID": " ", "AWS_SECRET_ACCESS_KEY": ""}) is None
    assert credentials_in(whole) == checked("AKIDEXAMPLE", Secret("s"), None)
    assert credentials_in(whole | {"AWS_SESSION_TOKEN": "t"}) == checked("AKIDEXAMPLE", Secret("s"), Secret("t"))
    with pytest.raises(ValueError, match="go together"):
        credentials_in(half)


def test_the_region_is_found_there_too() -> None:
    assert region_in({}) is None
    assert region_in({"AWS_DEFAULT_REGION": "eu-west-1"}) == "eu-west-1"
    assert region_in({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "us-gov-west-1"}) == "us-gov-west-1"


@pytest.mark.parametrize("region", ["", "us-east-1.evil.com/", "US-EAST-1", "us east 1", "../x", "x" * 99])
def test_what_is_no_region_never_gets_into_a_host_name(region: str) -> None:
    with pytest.raises(ValueError, match="not a region"):
        checked_region(region)
    with pytest.raises(ValueError, match="not a region"):
        in_region("https://bedrock-runtime.{region}.amazonaws.com", region)


def test_the_address_of_a_region() -> None:
    assert in_region("https://bedrock-runtime.{region}.amazonaws.com", "eu-west-1") == (
        "https://bedrock-runtime.eu-west-1.amazonaws.com"
    )


def test_what_to_do_where_the_library_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    require()
    monkeypatch.setitem(sys.modules, "botocore.auth", None)  # an import of it now fails
    with pytest.raises(ValueError, match=r"pip install 'komeet\[aws\]'"):
        require()
    with pytest.raises(ValueError, match="Bedrock API key"):
        sign(_outgoing(), EXAMPLE, service="bedrock", region="us-east-1", at_ms=AT)
