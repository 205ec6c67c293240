"""What was learned about providers while running: facts that no row states."""


class Learned:
    """Remembers, until the process ends, which providers refuse to be asked for usage on streams."""

    __slots__ = ("_refuse_stream_options",)

    def __init__(self) -> None:
        self._refuse_stream_options: set[str] = set()

    def refuses_stream_options(self, provider: str) -> bool:
        """Whether a call to it was refused because of `stream_options`."""
        return provider in self._refuse_stream_options

    def note_refused_stream_options(self, provider: str) -> None:
        """Do not ask it again."""
        self._refuse_stream_options.add(provider)
