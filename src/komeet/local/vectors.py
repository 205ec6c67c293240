"""WordLlama's vectors: the mean of its tokens' vectors, of unit length. Imported by its process alone.

Its own library does the same, and loads four times as much to do it (`requests`, `pydantic`, a copy of the weights).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import numpy as numpy_files
from tokenizers import Tokenizer

SIZES: Final = (256, 128, 64)
"""Vectors may be cut to these: it was trained so that their first numbers say the most."""
_TENSOR: Final = "embedding.weight"
_PIECE: Final = 4096
"""Tokens that are added up at once: a long text takes no more memory than this."""

Numbers = NDArray[np.float32]


class _Load(Protocol):
    """What its stubs leave open."""

    def __call__(self, filename: Path) -> dict[str, NDArray[np.floating[Any]]]: ...


class Vectors:
    """The weights and the tokenizer. Any thread may ask."""

    def __init__(self, weights: Path, tokenizer: Path) -> None:
        self._table = cast("_Load", numpy_files.load_file)(weights)[_TENSOR]
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def of(self, texts: Sequence[str], size: int = SIZES[0]) -> tuple[Numbers, int]:
        """Return a row of `size` numbers for each text, and how many tokens the texts have.

        A text without any token, or whose vectors cancel out, has a row of zeros.
        """
        encoded = [each.ids for each in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        rows = np.stack([self._mean(ids, size) for ids in encoded])
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.where(lengths > 0, lengths, 1)
        return rows, sum(map(len, encoded))

    def _mean(self, ids: Sequence[int], size: int) -> Numbers:
        total = np.zeros(size, dtype=np.float32)
        for start in range(0, len(ids), _PIECE):
            total += self._table[ids[start : start + _PIECE], :size].sum(axis=0, dtype=np.float32)
        return total / np.float32(max(len(ids), 1))
