"""Token counting, for usage that no provider reported: an estimate, and marked as one wherever it is used."""

from collections.abc import Callable, Iterable
from typing import Final, Protocol, cast

from komeet.canonical.usage import Usage
from komeet.catalog.profile import CHARACTERS, DEFAULT_ENCODING

_PER_MESSAGE: Final = 3
"""Tokens around each message, and before the answer, in OpenAI's chat format (their cookbook, "counting tokens")."""


class _BatchCount(Protocol):
    def __call__(self, texts: Iterable[str], encoding: str = ..., threads: int = ...) -> list[int]: ...


class TokenCounter:
    """Counts tokens with the ranks in the `toktok-rs` wheel: exact for OpenAI's encodings, near for other models.

    The ranks take half a second and some 50 MB when an encoding is first used; call `load` from a thread before. Any
    thread may count: loading twice at once is wasteful and harmless, and counting releases the interpreter's lock.
    """

    def __init__(self) -> None:
        self._count: _BatchCount | None = None

    def load(self, encoding: str = DEFAULT_ENCODING) -> None:
        """Load the ranks of an encoding.

        Raises:
            KeyError: there is no such encoding.
        """
        self._tokens(("",), encoding)

    def count(self, text: str, encoding: str = DEFAULT_ENCODING) -> int:
        """Return how many tokens `text` has; special tokens written out count as the text they are."""
        return self._tokens((text,), encoding)[0]

    def estimate(self, prompt: str, output: str, *, encoding: str = DEFAULT_ENCODING, messages: int = 1) -> Usage:
        """Return the usage of a call from its texts; `messages` is how many the prompt was made of, 0: no chat."""
        sent, received = self._tokens((prompt, output), encoding)
        return Usage(input=sent + (_PER_MESSAGE * (messages + 1) if messages else 0), output=received)

    def _tokens(self, texts: tuple[str, ...], encoding: str) -> list[int]:
        if encoding == CHARACTERS:
            return [len(text) for text in texts]
        if self._count is None:
            import toktok  # noqa: PLC0415 - a library of 4 MB that most processes never need

            self._count = cast("_BatchCount", cast("Callable[..., object]", toktok.batch_count))
        # JSON can spell halves of characters, which no encoding has.
        whole = [text if text.isascii() else text.encode("utf-8", "replace").decode() for text in texts]
        return self._count(whole, encoding, 1)
