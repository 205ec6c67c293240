"""What kind of model each is, what it can do and how much it takes: facts that lists show. No call depends on them."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

ModelType: TypeAlias = Literal[
    "chat", "embedding", "moderation", "image", "speech", "transcription", "realtime", "rerank", "video"
]

FEATURES: Final = (
    "audio_input",
    "audio_output",
    "computer_use",
    "json_schema",
    "parallel_tools",
    "pdf",
    "prompt_cache",
    "reasoning",
    "tools",
    "vision",
    "web_search",
)
"""Everything that a model may be said to do."""


class Capability(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model of a provider."""

    type: ModelType
    features: tuple[str, ...] = ()
    input_limit: int | None = None
    """Most tokens that it reads."""
    output_limit: int | None = None
    """Most tokens of one answer."""


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    providers: dict[str, dict[str, Capability]]


class Capabilities:
    """Facts by a provider's name in the registry, and model. Immutable."""

    def __init__(self, models: Mapping[str, Mapping[str, Capability]] | None = None) -> None:
        self._models: Final = dict(models or {})

    def find(self, source: str | None, model: str) -> Capability | None:
        """Return what is known of a model; `source` is its provider's name in the registry, None: it has none."""
        return None if source is None else self._models.get(source, {}).get(model)

    def count(self) -> int:
        """Return of how many models something is known."""
        return sum(len(models) for models in self._models.values())


def load() -> Capabilities:
    """Read the packaged `capabilities.json`, which `packaging/capabilities.py` writes.

    Raises:
        ValueError: the file is damaged.
    """
    return parse(files("komeet.catalog").joinpath("capabilities.json").read_bytes())


def parse(text: bytes) -> Capabilities:
    """Read facts from JSON; raises ValueError with the path of the first mistake."""
    try:
        return Capabilities(msgspec.json.decode(text, type=_File).providers)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
