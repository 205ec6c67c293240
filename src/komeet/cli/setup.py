"""What a command works with: the configuration, the data directory, and the providers."""

import os
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from komeet.cli.output import fail
from komeet.config.load import ConfigError, default_data_dir, parse, parse_file, text_of
from komeet.config.providers import Found, find
from komeet.config.schema import Config
from komeet.providers.provider import Provider
from komeet.routing.directory import Directory
from komeet.store.database import DataFiles, Store
from komeet.store.engine import Databases


class Setup(Struct, frozen=True, kw_only=True):
    """What the command line, the environment and the file come to."""

    config: Config
    config_file: Path | None
    config_text: str
    """What is in the file; "" where there is none."""
    data_dir: Path
    found: Found


def read(config_file: Path | None, data_dir: Path | None) -> Setup:
    """Read the configuration; a mistake ends the command with its path."""
    text = _text(config_file)
    config = _parsed(config_file, text)
    try:
        found = find(config, os.environ)
    except ConfigError as error:
        fail(str(error) if config_file is None else f"{config_file}: {error}")
    return Setup(
        config=config, config_file=config_file, config_text=text, data_dir=_place(config, data_dir), found=found
    )


def where(config_file: Path | None, data_dir: Path | None) -> Path:
    """Return the data directory, without asking which providers there are."""
    return _place(_parsed(config_file, _text(config_file)), data_dir)


def places(config_file: Path | None, data_dir: Path | None) -> tuple[Path, Databases]:
    """Return the data directory and where the databases are, without asking which providers there are."""
    config = _parsed(config_file, _text(config_file))
    return _place(config, data_dir), databases_of(config)


def databases_of(config: Config) -> Databases:
    """Return where the databases are."""
    return Databases(ledger=config.ledger.database, requests=config.request_log.database)


def _text(file: Path | None) -> str:
    try:
        return "" if file is None else text_of(file)
    except ConfigError as error:
        fail(str(error))


def _parsed(file: Path | None, text: str) -> Config:
    try:
        return parse("", {}) if file is None else parse_file(file, text, os.environ)
    except ConfigError as error:
        fail(str(error))


def _place(config: Config, data_dir: Path | None) -> Path:
    configured = None if config.data_dir is None else Path(config.data_dir).expanduser()
    place = (data_dir or configured or default_data_dir(os.environ)).absolute()
    with suppress(OSError):  # what may not be looked at is said when it is opened
        if place.is_file():
            fail(f"the data directory {place} is a file; --data-dir names another one")
    return place


def models_of(setup: Setup) -> Directory[Provider]:
    """Return the models that would answer; prices that cannot be read end the command."""
    from komeet.app import directory  # noqa: PLC0415 - most commands need none of it

    try:
        return directory(setup.data_dir, setup.found.providers, setup.config)
    except ConfigError as error:
        fail(str(error))


@contextmanager
def data_files(config_file: Path | None, data_dir: Path | None) -> Generator[DataFiles]:
    """Open the databases for one command, made where there are none; raises StoreError where they cannot be used."""
    place, databases = places(config_file, data_dir)
    with closing(Store.open_for_cli(place, databases)) as files:
        yield files


@contextmanager
def existing_files(config_file: Path | None, data_dir: Path | None) -> Generator[DataFiles | None]:
    """Open the databases for a command that only looks: None where there are none, and nothing is made.

    Raises:
        StoreError: they cannot be used.
    """
    place, databases = places(config_file, data_dir)
    if not databases.shared and _is_new(place):
        yield None
        return
    with closing(Store.open_for_cli(place, databases)) as files:
        yield files


def _is_new(place: Path) -> bool:
    try:
        (place / "komeet.db").stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
