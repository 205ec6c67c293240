"""The embedded embeddings: WordLlama, whose wheel carries its weights, in a process of its own.

Its process has 80 MB and is there within 0.3 s; a call takes it 0.25 ms, a text among many 25 µs.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

from komeet.core.clock import Clock
from komeet.local.handover import EmbeddingOrders
from komeet.local.process import Child, launch
from komeet.local.supervisor import EmbeddedModel, Spawner, State
from komeet.local.weights import INSTALL_ENGINE

MODEL: Final = "wordllama"
"""The name under which calls ask for it."""
PACKAGE: Final = "wordllama"
WEIGHTS: Final = Path("weights", "l2_supercat_256.safetensors")
TOKENIZER: Final = Path("tokenizers", "l2_supercat_tokenizer_config.json")
_NEEDED: Final = ("numpy", "safetensors", "tokenizers")


class EmbeddedEmbeddings(EmbeddedModel):
    """The address of the embedded embeddings, and the process behind it."""

    title: ClassVar[str] = "The embedded model for embeddings"

    def __init__(self, *, clock: Clock, tasks: Spawner, start_within: float = 60.0) -> None:
        super().__init__(Path(), clock=clock, tasks=tasks, threads=1, start_within=start_within)

    def _installed(self) -> Path | None:
        folder = find()
        self._problem = None if folder is not None else missing()
        if folder is None:
            self._state = State.UNAVAILABLE
        return folder

    async def _launch(self, weights: Path, key: str) -> Child:
        orders = EmbeddingOrders(
            key=key, weights=str(weights / WEIGHTS), tokenizer=str(weights / TOKENIZER), model=MODEL
        )
        return await launch(orders, "komeet.local.wordllama_child")


def find() -> Path | None:
    """Return the folder of the package, with its weights and what reads them; it is not imported to find out."""
    if any(find_spec(name) is None for name in _NEEDED):
        return None
    spec = find_spec(PACKAGE)
    folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
    return next((each for each in folders if (each / WEIGHTS).is_file() and (each / TOKENIZER).is_file()), None)


def missing() -> str | None:
    """Say what has to be installed before it can answer; None when nothing is missing."""
    if find() is not None:
        return None
    return f"The embedded model for embeddings ({PACKAGE}) is not installed. Run `{INSTALL_ENGINE}`."
