"""Keys of a provider, as the file names them: what they are, and where they are read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from komeet.core.secrets import Secret
from komeet.providers import credential
from komeet.providers.credential import ONLY, FromCommand, FromFile

Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class Credential(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several keys. One of `env`, `file`, `command` and `api_key` says where it is."""

    name: Annotated[
        Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$")] | None,
        Meta(description="What logs and metrics call it. Default: its place among them, from 1."),
    ] = None
    weight: Annotated[
        int, Meta(ge=1, le=1000, description="Its part of the calls, beside the weights of the others.")
    ] = 1
    env: Annotated[str | None, Meta(description="The environment variable that holds it.")] = None
    file: Annotated[
        str | None, Meta(description="A file that holds it and nothing else; read again when it changes.")
    ] = None
    command: Annotated[
        Annotated[tuple[str, ...], Meta(min_length=1)] | None,
        Meta(
            description="A program and its arguments, run without a shell, that prints it: alone, or as JSON with `key`"
            " and `expires` (RFC 3339, or Unix seconds). Run with the first call, and again before that expires."
        ),
    ] = None
    api_key: Annotated[Secret | None, Meta(description="The key itself: `${TEAM_A_KEY}`.")] = None
    timeout_seconds: Annotated[Seconds, Meta(description="How long `command` may take.")] = 10.0
    expires_seconds: Annotated[
        Seconds, Meta(description="How long what `command` prints is good for, where it does not say itself.")
    ] = 3600.0


class Google(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose calls to Vertex AI they are, and where. What is left out comes from Google's own variables."""

    credentials_file: Annotated[
        str | None,
        Meta(description="The key file of a service account. Default: `GOOGLE_APPLICATION_CREDENTIALS`."),
    ] = None
    project: Annotated[
        str | None, Meta(description="Default: `GOOGLE_CLOUD_PROJECT`, then the project of the service account.")
    ] = None
    location: Annotated[str | None, Meta(description="Default: `GOOGLE_CLOUD_LOCATION`, then `global`.")] = None


def read(wanted: Credential, place: int, environment: Mapping[str, str]) -> credential.Credential:
    """Return a credential of the file.

    Args:
        wanted: what the file says.
        place: its place among those of its provider, from 1.
        environment: the variables that there are.

    Raises:
        ValueError: it is not one key, or cannot be read; the message holds no secret.
    """
    named = [name for name in ("env", "file", "command", "api_key") if getattr(wanted, name) is not None]
    if len(named) != 1:
        more = f", not {' and '.join(named)}" if named else ""
        raise ValueError(f"give one of env, file, command and api_key{more}")
    name = wanted.name or str(place)
    if wanted.command is not None:
        if not all(wanted.command):
            raise ValueError("command: an argument is empty")
        source = FromCommand(argv=wanted.command, timeout=wanted.timeout_seconds, expires=wanted.expires_seconds)
        return credential.Credential(name=name, weight=wanted.weight, source=source)
    if wanted.file is not None:
        try:
            made = from_file(wanted.file, name=name, weight=wanted.weight)
        except ValueError as error:
            raise ValueError(f"file: {error}") from None
        return made
    if wanted.env is not None:
        value = environment.get(wanted.env, "").strip()
        if not value:
            raise ValueError(f"env: {wanted.env} is not set")
        secret = Secret(value)
    else:
        assert wanted.api_key is not None
        secret = wanted.api_key
    return credential.Credential(name=name, weight=wanted.weight, secret=credential.checked(secret))


def from_file(path: str, *, name: str = ONLY, weight: int = 1) -> credential.Credential:
    """Return the credential that a file holds, as it is now.

    Raises:
        ValueError: it cannot be read, or does not hold a key; the message holds none.
    """
    where = Path(path).expanduser()
    try:
        secret = Secret(where.read_text("utf-8").strip())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not text") from None
    if not secret:
        raise ValueError(f"{path}: is empty")
    found = credential.Credential(name=name, weight=weight, source=FromFile(path=str(where)))
    return found.with_secret(secret)
