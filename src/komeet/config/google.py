"""The service account that asks Vertex AI, and where: from the file, or from Google's own variables."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from komeet.config.credentials import Google
from komeet.providers.credential import Credential
from komeet.providers.google.account import account_of
from komeet.providers.google.place import GLOBAL, checked_location, checked_project


class Asker(Struct, frozen=True, kw_only=True):
    """Who asks Google Cloud, and where."""

    credential: Credential
    project: str
    location: str


def asker(wanted: Google, environment: Mapping[str, str]) -> Asker | None:
    """Return who asks; None where no service account is named.

    Raises:
        ValueError: what is named cannot be used, with the option or the variable; the message holds no secret.
    """
    path = wanted.credentials_file or _set(environment, "GOOGLE_APPLICATION_CREDENTIALS")
    if path is None:
        return None
    named = "credentials_file" if wanted.credentials_file else "GOOGLE_APPLICATION_CREDENTIALS"
    try:
        account = account_of(Path(path).expanduser().read_bytes())
    except OSError as error:
        raise ValueError(f"{named}: {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"{named}: {path}: {error}") from None
    project = wanted.project or _set(environment, "GOOGLE_CLOUD_PROJECT") or account.project
    location = wanted.location or _set(environment, "GOOGLE_CLOUD_LOCATION") or GLOBAL
    return Asker(
        credential=Credential(source=account),
        project=checked_project(project),
        location=checked_location(location),
    )


def is_meant(environment: Mapping[str, str]) -> bool:
    """Return whether the environment alone asks for Vertex AI: other programs have the file's variable set, too."""
    names = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_LOCATION")
    return all(_set(environment, name) is not None for name in names)


def _set(environment: Mapping[str, str], name: str) -> str | None:
    return environment.get(name, "").strip() or None
