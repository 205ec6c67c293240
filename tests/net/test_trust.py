"""Authorities and certificates of the operator's own: for one origin or for all, and said at once when they are wrong.

`tls/client.pem` is a certificate with its key, `tls/encrypted.pem` the same with a passphrase; see `test_tls`.
"""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.net.conftest import NEVER, OK, Upstream, answering, run, upstream

from komeet.core.clock import ManualClock
from komeet.core.errors import ConnectFailed, CutMidStream
from komeet.core.http import TlsFiles
from komeet.net.client import Client
from komeet.net.trust import TlsFileError, Trust

CERTIFICATES = Path(__file__).parent / "tls"
CA = str(CERTIFICATES / "ca.pem")
SERVER = str(CERTIFICATES / "server.pem")
SHOWN = str(CERTIFICATES / "client.pem")
AUTHORITY = TlsFiles(ca_file=CA)
BOTH = TlsFiles(ca_file=CA, cert_file=SHOWN)


@asynccontextmanager
async def provider(trust: Trust | None = None) -> AsyncGenerator[tuple[Client, Upstream]]:
    """A provider that takes nobody without the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SERVER)
    context.load_verify_locations(SHOWN)
    context.verify_mode = ssl.CERT_REQUIRED
    made = Client(ManualClock(), trust=trust, sweep_seconds=NEVER)
    async with upstream(answering(OK), tls=context, host="localhost") as up:
        try:
            yield made, up
        finally:
            await made.aclose()


async def get(made: Client, up: Upstream, files: TlsFiles | None) -> bytes:
    up.origin = replace(up.origin, tls=files)
    return await (await made.fetch(up.outgoing())).read(100)


def test_an_origin_is_shown_its_certificate_and_no_connection_is_shared_without_it() -> None:
    async def main() -> None:
        async with provider() as (made, up):
            for _ in range(2):
                assert await get(made, up, BOTH) == b"hello world"
            assert len(up.peers) == 1
            # Over TLS 1.3 a server refuses a client only once that has spoken.
            with pytest.raises((ConnectFailed, CutMidStream)):
                await get(made, up, AUTHORITY)
            with pytest.raises(ConnectFailed, match="was not accepted"):
                await get(made, up, None)

    run(main())


def test_what_is_common_holds_for_every_origin_and_an_own_certificate_goes_before_it() -> None:
    async def main() -> None:
        async with provider(Trust(BOTH)) as (made, up):
            assert await get(made, up, None) == b"hello world"
            assert await get(made, up, TlsFiles(ca_file=SERVER)) == b"hello world"
            with pytest.raises((ConnectFailed, CutMidStream)):
                await get(made, up, TlsFiles(cert_file=SERVER))

    run(main())


def test_certificates_are_verified_whatever_is_configured() -> None:
    for files in (None, AUTHORITY, BOTH, TlsFiles(cert_file=SHOWN, key_file=SHOWN)):
        for trust in (Trust(), Trust(BOTH)):
            context = trust.context(files)
            assert context.verify_mode is ssl.CERT_REQUIRED
            assert context.check_hostname
            assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
            assert trust.context(files) is context


def test_further_authorities_do_not_replace_the_systems() -> None:
    assert Trust().context().cert_store_stats()["x509_ca"] < Trust().context(AUTHORITY).cert_store_stats()["x509_ca"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (TlsFiles(ca_file="/missing.pem"), "ca_file: /missing.pem: No such file"),
        (TlsFiles(ca_file=__file__), "ca_file: .*: holds no certificates in PEM"),
        (TlsFiles(cert_file="/missing.pem"), "cert_file: /missing.pem: No such file"),
        (TlsFiles(cert_file=SHOWN, key_file="/missing.pem"), "cert_file: .*client.pem, /missing.pem: No such file"),
        (TlsFiles(cert_file=CA), "cert_file: .*: holds no certificate with its key"),
        (TlsFiles(cert_file=SHOWN, key_file=SERVER), "key_file: .*server.pem: the key is not that of .*client.pem"),
        (TlsFiles(cert_file=str(CERTIFICATES / "encrypted.pem")), "key_file: .*: the key is encrypted"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(files: TlsFiles, message: str) -> None:
    with pytest.raises(TlsFileError, match=message):
        Trust().context(files)
    with pytest.raises(TlsFileError, match=message):
        Trust(files).context()
