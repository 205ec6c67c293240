"""Where on this machine a Komeet is reached, and by which certificate it is known there."""

import re
import ssl
from pathlib import Path

from msgspec import Struct

from komeet.config.schema import Server

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Place(Struct, frozen=True, kw_only=True):
    """An address, and what TLS with it is made with."""

    url: str
    """Without a path."""
    trust: ssl.SSLContext | None = None
    """None: no TLS is spoken there."""


def base_url(host: str, port: int, *, tls: bool = False) -> str:
    """Return where a Komeet that listens on `host` is reached from this machine."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared
        host = "127.0.0.1"
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def place_of(server: Server, port: int | None = None, host: str | None = None) -> Place:
    """Return where the server of a configuration is reached; `port` and `host` are those of the command line."""
    url = base_url(host or server.host, server.port if port is None else port, tls=server.tls is not None)
    return Place(url=url, trust=None if server.tls is None else _trust(Path(server.tls.cert_file)))


def _trust(cert_file: Path) -> ssl.SSLContext:
    """Return a context that believes the one certificate of the file, whatever names it has and whoever signed it.

    It is made for the name that callers use, and this machine goes by its address. Where the file cannot be read here,
    the system's authorities are asked (`SSL_CERT_FILE` names others), and the name counts.
    """
    try:
        found = _CERTIFICATE.search(cert_file.read_text("ascii"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it need not be its own authority
        context.load_verify_locations(cadata="" if found is None else found[0])
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return ssl.create_default_context()
    return context
