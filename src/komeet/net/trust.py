"""Whom the client believes, and what it shows of itself: TLS contexts out of the files that the operator names.

Certificates are always verified: the system's authorities are trusted, and those of the named files besides.
"""

import ssl
from typing import Final

from komeet.core.http import TlsFiles


class TlsFileError(Exception):
    """A file cannot be used; the message names the option, the file and the reason."""


class Trust:
    """Makes a context per set of files, once. `common` holds for every origin; an origin's own files add to it."""

    __slots__ = ("_common", "_made")

    def __init__(self, common: TlsFiles | None = None) -> None:
        self._common: Final = common or TlsFiles()
        self._made: dict[TlsFiles | None, ssl.SSLContext] = {}

    def context(self, own: TlsFiles | None = None) -> ssl.SSLContext:
        """Return the context for an origin with these files of its own.

        Raises:
            TlsFileError: one of the files cannot be used.
        """
        made = self._made.get(own)
        if made is None:
            made = self._made[own] = self._make(own or TlsFiles())
        return made

    def _make(self, own: TlsFiles) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        for files in (self._common, own):
            if files.ca_file is not None:
                _load_authorities(context, files.ca_file)
        shown = own if own.cert_file is not None else self._common
        if shown.cert_file is not None:
            _load_certificate(context, shown.cert_file, shown.key_file)
        return context


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise TlsFileError(f"ca_file: {path}: holds no certificates in PEM") from None
    except OSError as error:
        raise TlsFileError(f"ca_file: {path}: {error.strerror or error}") from None


def _load_certificate(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    def encrypted() -> str:  # without it OpenSSL would ask at the terminal, and wait
        raise TlsFileError(f"key_file: {key or cert}: the key is encrypted; Komeet needs one without a passphrase")

    try:
        context.load_cert_chain(cert, key, password=encrypted)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFileError(f"key_file: {key or cert}: the key is not that of {cert}") from None
        raise TlsFileError(f"cert_file: {cert}: holds no certificate with its key in PEM") from None
    except OSError as error:
        raise TlsFileError(
            f"cert_file: {cert if key is None else f'{cert}, {key}'}: {error.strerror or error}"
        ) from None
