"""Service accounts: the statement is one that Google would take, and nothing shows the private key."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from tests.providers.test_requests import account_file

from komeet.core.http import Origin
from komeet.core.secrets import Secret
from komeet.providers.google.account import ServiceAccount, account_of, assertion, exchange, token_in
from komeet.providers.google.place import in_project

NOW = 1_800_000_000_123
BASE = "https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}/publishers/google"


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path: Path = account_file(tmp_path_factory.mktemp("account") / "account.json")
    return json.loads(path.read_bytes())


@pytest.fixture
def account(content: dict[str, str]) -> ServiceAccount:
    return account_of(json.dumps(content).encode())


def part(text: bytes) -> dict[str, object]:
    return json.loads(urlsafe_b64decode(text + b"=" * (-len(text) % 4)))


def test_the_statement_is_signed_by_the_account_and_good_for_an_hour(
    account: ServiceAccount, content: dict[str, str]
) -> None:
    header, claims, signature = assertion(account, at_ms=NOW).split(b".")
    assert part(header) == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
    assert part(claims) == {
        "iss": "komeet@my-project-123.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": 1_800_000_000,
        "exp": 1_800_003_600,
    }
    key = cast("rsa.RSAPrivateKey", serialization.load_pem_private_key(content["private_key"].encode(), None))
    raw = urlsafe_b64decode(signature + b"=" * (-len(signature) % 4))
    key.public_key().verify(raw, header + b"." + claims, padding.PKCS1v15(), hashes.SHA256())
    assert b"=" not in signature


def test_the_exchange_goes_to_the_address_of_the_file(account: ServiceAccount) -> None:
    made = exchange(account, at_ms=NOW)
    assert (made.origin, made.method, made.target) == (
        Origin("https", "oauth2.googleapis.com", 443),
        "POST",
        "/token",
    )
    assert parse_qs(made.body.decode())["assertion"] == [assertion(account, at_ms=NOW).decode()]


def test_a_token_is_read_and_a_refusal_told(account: ServiceAccount) -> None:
    token = token_in(200, b'{"access_token": "canary", "expires_in": 3599, "token_type": "Bearer"}')
    assert (token.secret, token.seconds) == (Secret("canary"), 3599)
    assert "canary" not in repr(token)
    with pytest.raises(ValueError, match=r"400 \(invalid_grant: Invalid JWT Signature\.\)"):
        token_in(400, b'{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}')
    with pytest.raises(ValueError, match=r"refused the service account with 503$"):
        token_in(503, b"<html>")
    for odd in (b"<html>", b"{}", b'{"access_token": "", "expires_in": 1}', b'{"access_token": "a", "expires_in": 0}'):
        with pytest.raises(ValueError, match="no token"):
            token_in(200, odd)
    assert "PRIVATE" not in repr(account)


def test_what_is_no_key_file_is_refused_without_showing_it(content: dict[str, str]) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for change, why in (
        ({"type": "authorized_user"}, "of the type 'authorized_user'"),
        ({"client_email": 1}, "client_email"),
        ({"token_uri": "http://oauth2.googleapis.com/token"}, "https"),
        ({"private_key": "canary"}, "not a key in PEM"),
        ({"private_key": curve.decode()}, "not an RSA key"),
    ):
        with pytest.raises(ValueError, match=why) as refused:
            account_of(json.dumps(content | change).encode())
        assert "canary" not in str(refused.value)
    with pytest.raises(ValueError, match="not JSON"):
        account_of(b"canary")


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("northamerica-northeast1", "northamerica-northeast1-aiplatform.googleapis.com"),
    ],
)
def test_each_location_has_its_host(location: str, host: str) -> None:
    path = f"/v1/projects/my-project-123/locations/{location}/publishers/google"
    assert in_project(BASE, "my-project-123", location) == f"https://{host}{path}"


@pytest.mark.parametrize(
    ("project", "location"),
    [("my-project/x", "global"), ("my-project-123", "evil.example/"), ("", "global"), ("my-project-123", "")],
)
def test_no_name_breaks_out_of_the_address(project: str, location: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        in_project(BASE, project, location)
