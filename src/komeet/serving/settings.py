"""What a supervisor starts its workers with, and the file that it comes from, which may change."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from komeet.config.load import ConfigError, parse, parse_file, text_of
from komeet.config.providers import find
from komeet.config.schema import Config
from komeet.local.cores import usable_cores

_MOST_WORKERS: Final = 4
"""Unless somebody wants more: two answer as many calls as most have."""


class Settings(Struct, frozen=True, kw_only=True):
    """A configuration, checked, and the text that workers get."""

    text: str
    config: Config
    workers: int


class Source:
    """The configuration file, or the environment where there is none."""

    def __init__(
        self, file: Path | None, workers: int | None = None, environment: Mapping[str, str] = os.environ
    ) -> None:
        """Know where to read; `workers` is what the command line says, which comes first."""
        self.file: Final = file
        self._workers: Final = workers
        self._environment: Final = environment
        self._last: str | None = None

    def read(self) -> Settings:
        """Read and check it now.

        Raises:
            ConfigError: it cannot be used.
        """
        return self.settings("" if self.file is None else text_of(self.file))

    def settings(self, text: str) -> Settings:
        """Check a text; raises ConfigError."""
        environment = self._environment
        config = parse(text, environment) if self.file is None else parse_file(self.file, text, environment)
        find(config, environment)
        workers = self._workers or config.server.workers or min(_MOST_WORKERS, usable_cores())
        return Settings(text=text, config=config, workers=workers)

    def changed(self, known: str) -> str | None:
        """Return what the file says now, if that is not `known` and was the same when this was last asked.

        An editor may be writing it: what is read once may be half of it, and an empty file is on its way.
        """
        if self.file is None:
            return None
        try:
            text = text_of(self.file)
        except ConfigError:
            return None  # it may be on its way from one place to another
        last, self._last = self._last, text
        return text if text == last and text not in {known, ""} else None
