"""The files for TLS to providers that a configuration names, found to be there."""

from pathlib import Path

from komeet.config.load import ConfigError
from komeet.config.schema import ProviderTls
from komeet.core.http import TlsFiles


def tls_files(wanted: ProviderTls, path: str) -> TlsFiles | None:
    """Return the files of the part at `path`; None: it names none. What is in them is for whoever uses them to say.

    Raises:
        ConfigError: one is not there, or a key is without its certificate.
    """
    if wanted.key_file is not None and wanted.cert_file is None:
        raise ConfigError(f"{path}.key_file: it is the key of a certificate: give cert_file too")
    found = TlsFiles(
        ca_file=_found(wanted.ca_file, f"{path}.ca_file"),
        cert_file=_found(wanted.cert_file, f"{path}.cert_file"),
        key_file=_found(wanted.key_file, f"{path}.key_file"),
    )
    return None if found == TlsFiles() else found


def _found(file: str | None, path: str) -> str | None:
    if file is None:
        return None
    expanded = Path(file).expanduser().absolute()
    try:
        with expanded.open("rb"):
            return str(expanded)
    except OSError as error:
        raise ConfigError(f"{path}: {file}: {error.strerror}") from None
