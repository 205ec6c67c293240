"""The certificate that the port shows: from files, taken anew when they change."""

import logging
import ssl
from pathlib import Path
from typing import Final

from komeet.core.clock import Clock

_LOOK_SECONDS: Final = 1.0

_log = logging.getLogger("komeet.net.certificates")


class CertificateError(Exception):
    """The files cannot be used; the message says which and why."""


class Certificates:
    """Says which certificate a new connection gets. Connections that exist keep theirs."""

    __slots__ = ("_cert", "_clock", "_context", "_key", "_looked", "_seen")

    def __init__(self, cert: Path, key: Path, clock: Clock) -> None:
        """Read both files (PEM; the certificate with its chain); raises CertificateError."""
        self._cert: Final = cert
        self._key: Final = key
        self._clock: Final = clock
        self._seen = self._state()
        self._context = self._load()
        self._looked = clock.monotonic()

    def current(self) -> ssl.SSLContext:
        """Return what a new connection speaks TLS with; looks at the files at most once a second.

        Files that cannot be used are logged once, and the certificate stays as it was.
        """
        now = self._clock.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._context

    def _look(self) -> None:
        state = self._state()
        if state == self._seen:
            return
        self._seen = (
            state  # a renewal writes one file after the other: what does not fit now is read at the next change
        )
        try:
            self._context = self._load()
        except CertificateError as error:
            _log.error("the certificate stays as it was: %s", error)
        else:
            _log.info("new connections get the certificate that is in %s now", self._cert)

    def _state(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple([_state(path) for path in (self._cert, self._key)])

    def _load(self) -> ssl.SSLContext:
        # A context of its own each time: into one in use, half of what fails would be loaded.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._cert, self._key, password=_no_password)
        except ssl.SSLError as error:
            raise CertificateError(f"{self._cert} and {self._key} cannot be used: {error.reason or error}") from error
        except OSError as error:
            names = f"{self._cert} or {self._key}"  # the ssl module does not say which
            raise CertificateError(f"{names} cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise CertificateError(f"{self._key} is encrypted; Komeet takes keys without a password") from error
        return context


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()  # follows links: renewals often change where one leads
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _no_password() -> str:
    raise ValueError("encrypted")
