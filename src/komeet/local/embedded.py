"""The embedded models, by the name under which calls ask for them."""

from pathlib import Path

from komeet.core.clock import Clock
from komeet.core.http import Origin
from komeet.core.secrets import Secret
from komeet.local.supervisor import EmbeddedModel, Spawner
from komeet.local.weights import SMOLLM2
from komeet.local.wordllama import MODEL, EmbeddedEmbeddings


class EmbeddedModels:
    """One that chats, and one that embeds: each in a process that is started when it is first asked for."""

    def __init__(self, data_dir: Path, *, clock: Clock, tasks: Spawner, threads: int | None = None) -> None:
        self.chat = EmbeddedModel(data_dir, clock=clock, tasks=tasks, threads=threads)
        self.embeddings = EmbeddedEmbeddings(clock=clock, tasks=tasks)

    def start(self) -> None:
        """Start them before anybody asks; what goes wrong is logged, and told to those who ask."""
        self.chat.start()
        self.embeddings.start()

    async def origin(self, model: str) -> tuple[Origin, Secret]:
        """Return where a model answers and the key that it takes, starting it if nobody has.

        Raises:
            UpstreamBusy: it is being restarted (`retry_after` says when to come again), or is not installed.
        """
        return await (self.embeddings if model == MODEL else self.chat).origin()

    def standing(self) -> list[tuple[str, str, int]]:
        """Return name, state and restarts of each."""
        both = ((SMOLLM2.model, self.chat), (MODEL, self.embeddings))
        return [(name, model.state.value, model.restarts) for name, model in both]

    async def close(self) -> None:
        """End the processes, within a few seconds; calls in flight are cut. May be called twice."""
        await self.chat.close()
        await self.embeddings.close()
