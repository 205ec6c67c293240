"""Every row, as its provider would see it: a real client, a real socket, and each field of the request.

`requests.txt` says what each provider publishes: where it is asked in which format, and how it is shown the key. The
rest is made as the server makes it: from variables of the environment to bytes. Names of hosts lead to this machine,
which shows a certificate for all of them.
"""

import asyncio
import datetime as dt
import json
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from tests.net.conftest import NEVER, Peer, run, upstream

from komeet import __version__
from komeet.catalog import profiles
from komeet.catalog.profile import Profile
from komeet.config.load import parse
from komeet.config.providers import find
from komeet.core.clock import ManualClock
from komeet.core.http import TlsFiles
from komeet.net.client import Client
from komeet.net.keyring import Keyring
from komeet.net.resolve import Address, ask_system
from komeet.net.tasks import Tasks
from komeet.net.trust import Trust
from komeet.providers import registry
from komeet.providers.provider import JSON_TYPE, Provider, outgoing, probe
from komeet.wire.embeddings import openai as embeddings
from komeet.wire.format import Edited
from komeet.wire.formats import BOTH_ROLES, FORMATS
from komeet.wire.media import images, speech
from komeet.wire.media.format import MediaFormat
from komeet.wire.moderations import openai as moderations
from komeet.wire.rerank import jina
from komeet.wire.ways import Answering, AnyCaller, way_between

ROWS = registry.load()
KEY: Final = "key-of-a-test"
TOKEN: Final = "token-of-a-test"
ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
MODELS: Final = {True: "vendor/model-1", False: "model-1"}
IN_THE_PATH: Final = {"gemini", "bedrock_converse", "titan_embeddings", "bedrock_cohere_embeddings"}
"""Formats that name the model in the path, and not in the body."""

ELSEWHERE: Final[Mapping[str, Mapping[str, str]]] = {
    "azure": {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com/"},
    "databricks": {"DATABRICKS_HOST": "https://dbc-1.cloud.databricks.com"},
    "cloudflare": {"CLOUDFLARE_AI_BASE_URL": "https://api.cloudflare.com/client/v4/accounts/a1/ai/v1"},
    "snowflake": {"SNOWFLAKE_HOST": "org-account.snowflakecomputing.com"},
    "litellm": {"LITELLM_PROXY_API_BASE": "https://proxy.example.com"},
    "bedrock": {"AWS_REGION": "eu-west-1"},
    "vertex": {"GOOGLE_CLOUD_LOCATION": "europe-west4"},
}
"""Where those are whose every customer has an address of their own."""


class Line(NamedTuple):
    """What a provider publishes."""

    row: str
    format: str
    url: str
    key: str

    @property
    def streamed(self) -> bool:
        return self.format.endswith("+stream")

    @property
    def is_form(self) -> bool:
        return self.format in ("openai_image_edits", "openai_transcriptions", "openai_translations")


def table() -> list[Line]:
    text = Path(__file__).with_name("requests.txt").read_text("utf-8")
    return [Line(*line.split()) for line in text.splitlines() if line and not line.startswith("#")]


TABLE = table()
HOSTS = sorted({str(urlsplit(line.url).hostname) for line in TABLE} | {"oauth2.googleapis.com"})


class Seen:
    """One request, as it came."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        self.method, self.target, self.version = first.split(" ")
        self.fields = [line.split(": ", 1) for line in lines]

    @property
    def headers(self) -> dict[str, str]:
        assert len({name for name, _ in self.fields}) == len(self.fields)
        return dict(self.fields)


class Side:
    """Everybody's server."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    async def answer(self, peer: Peer) -> None:
        while raw := await peer.request():
            seen = Seen(raw)
            if seen.headers["host"] == "oauth2.googleapis.com":
                body = json.dumps({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}).encode()
                peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            else:
                peer.say(ANSWER)
            self.seen.append(seen)


class Papers(NamedTuple):
    authority: Path
    server: ssl.SSLContext
    account: Path


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """An authority of our own, a certificate for all hosts, and a service account."""
    place = tmp_path_factory.mktemp("papers")
    now = dt.datetime.now(dt.UTC)

    def certificate(
        name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *further: x509.ExtensionType
    ) -> x509.Certificate:
        made = x509.CertificateBuilder(
            subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - dt.timedelta(days=1),
            not_valid_after=now + dt.timedelta(days=1),
        )
        for extension in further:
            made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return made.sign(by, hashes.SHA256())

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    known = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    root = certificate(
        "authority", authority, authority, x509.BasicConstraints(ca=True, path_length=None), known, usage
    )
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])
    leaf = certificate("everybody", server, authority, names, by)
    pem = serialization.Encoding.PEM
    (place / "authority.pem").write_bytes(root.public_bytes(pem))
    private = server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (place / "server.pem").write_bytes(private + leaf.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "server.pem")
    return Papers(place / "authority.pem", context, account_file(place / "account.json"))


def account_file(path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    content = {
        "type": "service_account",
        "project_id": "my-project-123",
        "private_key_id": "key-1",
        "private_key": pem.decode(),
        "client_email": "komeet@my-project-123.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    path.write_text(json.dumps(content))
    return path


@asynccontextmanager
async def everybody(papers: Papers) -> AsyncGenerator[tuple[Side, Client, Keyring]]:
    """A client for which every host is a server of this test."""
    side, tasks = Side(), Tasks()
    async with upstream(side.answer, tls=papers.server) as safe, upstream(side.answer) as plain:

        async def look_up(_: str, port: int) -> Sequence[Address]:
            there = safe if port == 443 else plain
            return list(await ask_system("127.0.0.1", there.origin.port))

        trust = Trust(TlsFiles(ca_file=str(papers.authority)))
        client = Client(ManualClock(), trust=trust, sweep_seconds=NEVER, look_up=look_up)
        try:
            yield side, client, Keyring(ManualClock(), tasks, client)
        finally:
            await client.aclose()
            await tasks.drain(0)


def environment_of(name: str, papers: Papers) -> dict[str, str]:
    """The variables that an operator would set."""
    row = ROWS[name]
    found = dict(ELSEWHERE.get(name, {}))
    if row.key_env:
        found[row.key_env[0]] = str(papers.account) if row.auth == "service_account" else KEY
    if row.auth == "optional":
        found |= dict.fromkeys((*row.host_env, *row.base_url_env), row.base_url)
    return found


def provider_of(name: str, papers: Papers) -> Provider:
    if ROWS[name].embedded:
        return registry.provider_of(ROWS[name])
    environment = environment_of(name, papers)
    found = find(parse("embedded: {enabled: false}", {}), environment).providers
    assert [provider.name for provider in found] == [name]
    return found[0]


def written(provider: Provider, name: str, model: str, *, stream: bool) -> tuple[Answering, Edited]:
    """Return the request, translated from what OpenAI's libraries send."""
    kind = FORMATS[name].kind
    asked: dict[str, object]
    caller: AnyCaller
    match kind:
        case "generation":
            caller = BOTH_ROLES["openai_chat"]
            asked = {"messages": [{"role": "user", "content": "hello"}], "stream": stream}
        case "embedding":
            caller, asked = embeddings.CALLER, {"input": "hello"}
        case "moderation":
            caller, asked = moderations.CALLER, {"input": "hello"}
        case "rerank":
            caller, asked = jina.CALLER, {"query": "hello", "documents": ["a", "b"]}
        case "image":
            caller, asked = images.GENERATIONS, {"prompt": "hello"}
        case "speech":
            caller, asked = speech.SPEECH, {"input": "hello", "voice": "alloy"}
        case "image_edit" | "transcription" | "translation":
            return filled_in(name, model)
    envelope = caller.parse_envelope(json.dumps({"model": "asked", **asked}).encode(), {})
    way = way_between(caller, FORMATS[name], envelope, id="1", created=1)
    profile = profiles.load().find(provider.family, model)
    return way.target, way.request(model=model, profile=profile, output_limit=None, ask_usage=False)


FILLED: Final = (
    b'--b1\r\ncontent-disposition: form-data; name="model"\r\n\r\n%b\r\n'
    b'--b1\r\ncontent-disposition: form-data; name="prompt"\r\n\r\nhello\r\n'
    b'--b1\r\ncontent-disposition: form-data; name="%b"; filename="a.bin"\r\n\r\n\x00\xff\r\n--b1--\r\n'
)


def filled_in(name: str, model: str) -> tuple[Answering, Edited]:
    """Return the request that is a form."""
    caller = FORMATS[name]
    assert isinstance(caller, MediaFormat)
    body = FILLED % (b"asked", b"image" if name == "openai_image_edits" else b"file")
    envelope = caller.parse_envelope(body, {b"content-type": b"multipart/form-data; boundary=b1"})
    way = way_between(caller, caller, envelope, id="1", created=1)
    return way.target, way.request(model=model, profile=Profile(), output_limit=None, ask_usage=False)


def expected_headers(line: Line, seen: Seen, accept: bytes) -> dict[str, str]:
    parts = urlsplit(line.url)
    secret = TOKEN if ROWS[line.row].auth == "service_account" else KEY
    shown = {
        "bearer": {"authorization": f"Bearer {secret}"},
        "x-api-key": {"x-api-key": secret},
        "x-goog-api-key": {"x-goog-api-key": secret},
        "api-key": {"api-key": secret},
        "none": {},
    }[line.key]
    version = {"anthropic-version": "2023-06-01"} if line.format.startswith("anthropic_messages") else {}
    return {
        "host": parts.netloc,
        "content-length": str(len(seen.body)),
        "content-type": "multipart/form-data; boundary=b1" if line.is_form else "application/json",
        "accept": accept.decode(),
        "accept-encoding": "identity",
        "user-agent": f"komeet/{__version__}",
        **shown,
        **version,
        **ROWS[line.row].headers,
    }


async def ask(line: Line, papers: Papers) -> tuple[Seen, bytes, str]:
    name = line.format.removesuffix("+stream")
    provider = provider_of(line.row, papers)
    model = MODELS[provider.prefixed]
    target, edited = written(provider, name, model, stream=line.streamed)
    accept = edited.accept or (target.stream_type if line.streamed else JSON_TYPE)
    async with everybody(papers) as (side, client, keyring):
        credential = None
        if provider.credentials:
            credential = await keyring.current(provider.name, provider.credentials[0])
        answer = await client.fetch(
            outgoing(
                provider,
                wire=name,
                path=target.path(model, stream=line.streamed),
                body=edited.body,
                at_ms=0,
                accept=accept,
                content_type=edited.content_type,
                headers=edited.headers,
                key=edited.key,
                model=model,
                credential=credential,
            )
        )
        assert await answer.read(10) == b"{}"
    return side.seen[-1], accept, model


def test_the_table_has_every_format_of_every_row_and_no_other() -> None:
    listed = [(line.row, line.format) for line in TABLE]
    assert len(set(listed)) == len(listed)
    assert {pair for pair in listed if not pair[1].endswith("+stream")} == {
        (row.name, name) for row in ROWS.values() for name in row.formats
    }


def test_there_are_more_than_forty_rows() -> None:
    assert sum(not row.embedded for row in ROWS.values()) >= 75


@pytest.mark.parametrize("line", TABLE, ids=lambda line: f"{line.row}-{line.format}")
def test_a_provider_is_asked_as_it_publishes(line: Line, papers: Papers) -> None:
    seen, accept, model = run(ask(line, papers))
    parts = urlsplit(line.url)
    assert (seen.method, seen.version) == ("POST", "HTTP/1.1")
    assert seen.target == parts.path + (f"?{parts.query}" if parts.query else "")
    assert seen.headers == expected_headers(line, seen, accept)
    if line.is_form:
        field = b"image" if line.format == "openai_image_edits" else b"file"
        assert seen.body == FILLED % (model.encode(), field)
        return
    body = json.loads(seen.body)
    name = line.format.removesuffix("+stream")
    if name in IN_THE_PATH:
        assert model in seen.target
        assert "model" not in body
    elif name == "gemini_embeddings":
        assert {request["model"] for request in body["requests"]} == {f"models/{model}"}
    else:
        assert body["model"] == model
        assert body.get("stream", False) is line.streamed


@pytest.mark.parametrize("name", [row.name for row in ROWS.values() if row.health])
def test_a_health_check_is_a_get_with_the_key_and_without_a_body(name: str, papers: Papers) -> None:
    provider = provider_of(name, papers)
    asked = probe(provider)
    assert asked is not None

    async def main() -> Seen:
        async with everybody(papers) as (side, client, _):
            assert (await client.fetch(asked)).status == 200
            return side.seen[-1]

    seen = run(main())
    assert (seen.method, seen.target, seen.body) == ("GET", f"{provider.prefix}{ROWS[name].health}", b"")
    shown = {value for header, value in seen.headers.items() if KEY in value and header != "host"}
    assert bool(shown) == bool(ROWS[name].key_env)
    assert "content-type" not in seen.headers


def test_what_has_no_health_check_is_not_asked(papers: Papers) -> None:
    assert probe(provider_of("bedrock", papers)) is None


def test_a_service_account_is_exchanged_once_for_many_calls(papers: Papers) -> None:
    provider = provider_of("vertex", papers)

    async def main() -> list[Seen]:
        async with everybody(papers) as (side, _, keyring):
            got = await asyncio.gather(*[keyring.current("vertex", provider.credentials[0]) for _ in range(20)])
            assert {str(one.secret and one.secret.reveal()) for one in got} == {TOKEN}
            return side.seen

    (seen,) = run(main())
    assert (seen.method, seen.target, seen.headers["host"]) == ("POST", "/token", "oauth2.googleapis.com")
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    form = parse_qs(seen.body.decode(), strict_parsing=True)
    assert form.keys() == {"grant_type", "assertion"}
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
