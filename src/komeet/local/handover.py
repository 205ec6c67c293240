"""What the supervisor and the embedded model's process say to each other: one line of JSON each way."""

from msgspec import Struct


class Orders(Struct, frozen=True, kw_only=True):
    """The first line of the process's standard input: its arguments would show the key to every user of the machine."""

    key: str
    """What its callers must present."""
    weights: str
    model: str
    """The name by which it calls itself in answers."""
    threads: int
    context: int
    """Tokens of prompt and answer together, for each of `slots`."""
    slots: int
    """Calls answered at the same time; more wait."""

    def __repr__(self) -> str:
        return f"Orders(weights={self.weights!r}, model={self.model!r}, key=***)"


class EmbeddingOrders(Struct, frozen=True, kw_only=True):
    """The same for the process of the embedded embeddings."""

    key: str
    weights: str
    tokenizer: str
    model: str

    def __repr__(self) -> str:
        return f"EmbeddingOrders(weights={self.weights!r}, model={self.model!r}, key=***)"


class Ready(Struct, frozen=True):
    """The only line of its standard output: it answers from now on."""

    port: int
