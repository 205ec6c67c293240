"""The duties that the pipeline asks of rooms that do I/O; the composition root says who fulfils them."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, Protocol

from msgspec import Struct, field

from komeet.access.keys import KeyStore
from komeet.canonical.record import CallRecord
from komeet.canonical.usage import Usage
from komeet.core.clock import Clock
from komeet.core.http import Fetcher, Origin
from komeet.core.secrets import Secret
from komeet.ledger.port import Ledger
from komeet.metering.charge import Sales
from komeet.pipeline.admission import Admission
from komeet.pipeline.credentials import Credentials
from komeet.pipeline.flights import Cache
from komeet.pipeline.limiting import Limiter
from komeet.pipeline.once import Memory
from komeet.providers.provider import Provider
from komeet.routing.directory import Directory
from komeet.routing.learned import Learned
from komeet.routing.placement import Placements
from komeet.routing.retry import Retries
from komeet.routing.route import Router
from komeet.wire.ways import Targets


class Spawner(Protocol):
    """Starts work that outlives the call; it is supervised, and waited for at shutdown."""

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> object: ...


class Embedded(Protocol):
    """The processes of the embedded models."""

    async def origin(self, model: str) -> tuple[Origin, Secret]:
        """Return where a model answers and the key that it takes, starting it if need be.

        Raises:
            UpstreamBusy: it is being restarted, or cannot be started.
        """
        ...


class Estimator(Protocol):
    """Counts tokens where no provider reported them."""

    async def estimate(self, prompt: str, output: str, encoding: str, *, messages: int = 1) -> Usage:
        """Count off the event loop, with the tokenizer that `encoding` names; `messages`: of a chat, or 0."""
        ...


class Media(Protocol):
    """Fetches files that callers name by URL, where a provider does not fetch them itself."""

    async def fetch(self, url: str) -> tuple[str, bytes]:
        """Return the media type and the bytes.

        Raises:
            WireError: 400, it may not be fetched, or does not come.
        """
        ...


class Observer(Protocol):
    """Learns of every call that ended: the request log, the metrics. Never blocks, never raises."""

    def ended(self, record: CallRecord) -> None: ...


class Policy(Struct, frozen=True, kw_only=True):
    """What the operator decided about spending."""

    unpriced: Literal["allow", "refuse"] = "allow"
    """Calls to models without a known price, of keys without a hard budget."""
    unpriced_with_budget: Literal["allow", "refuse"] = "refuse"
    """The same of keys with one."""
    budget_image_tokens: int | None = None
    """Most output tokens of a picture for keys with a budget, where its model's are not known; None: refused."""
    budget_output_tokens: int = 16_384
    """The output limit that is set for keys with a budget when the caller sets none."""
    losses: Literal["adapt", "refuse"] = "adapt"
    """Whether a call of which something would be lost is made all the same; a provider may have its own policy."""
    pass_through: bool = True
    """Whether bytes go through as they came where caller and provider speak the same format."""


class Ports(Struct, frozen=True, kw_only=True):
    """Everything that a call may touch."""

    clock: Clock
    keys: KeyStore
    directory: Directory[Provider]
    router: Router[Provider]
    learned: Learned
    ledger: Ledger
    fetcher: Fetcher
    embedded: Embedded | None
    estimator: Estimator
    formats: Targets
    media: Media | None
    """None: nothing that a caller names is fetched."""
    tasks: Spawner
    observers: tuple[Observer, ...]
    policy: Policy
    admission: Admission = field(default_factory=Admission)
    once: Memory | None = None
    """Remembers calls that have an `Idempotency-Key`; None: such a key means nothing."""
    cache: Cache | None = None
    """Answers that may be given once more; None: there is no such thing."""
    retries: Retries = field(default_factory=Retries)
    credentials: Credentials = field(default_factory=Credentials)
    chance: Callable[[], float] = secrets.SystemRandom().random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    limits: Limiter = field(default_factory=Limiter)
    placements: Placements = field(default_factory=Placements)
    """Where calls may go."""
    sales: Sales = field(default_factory=Sales)
    """What customers are charged."""
