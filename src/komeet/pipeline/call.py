"""The state of one call and of its attempts, as it goes through the stages."""

from typing import Protocol

from komeet.access.keys import Key
from komeet.cache.entry import Entry
from komeet.cache.policy import Result
from komeet.canonical.loss import Loss
from komeet.canonical.record import Tried
from komeet.canonical.usage import Usage
from komeet.core.clock import Clock
from komeet.core.errors import KomeetError, UpstreamError
from komeet.core.http import Answer, HttpRequest, Reply
from komeet.core.ids import new_id, numbered
from komeet.core.money import Nano
from komeet.ledger.free import Free
from komeet.limits.limit import Grant
from komeet.metering.charge import Terms
from komeet.pipeline.plan import AnyCandidate, Plan
from komeet.providers.credential import Credential
from komeet.wire.continued import Story
from komeet.wire.format import Envelope, Passed, Tap
from komeet.wire.ways import AnyCaller, WayLike

CONTINUE = b"x-komeet-continue"
"""The header by which a caller allows another model to end what one has begun."""

REFUSED = "upstream_refused"
"""What is noted of a call that the provider refused as the caller's own mistake, in words that were passed on."""


class Ending(Protocol):
    """Learns how a call ended, before its caller gets the end of its answer."""

    async def end(self, call: "Call") -> None:
        """Take note of it; never raises, but that it may be cancelled."""
        ...


class Following(Protocol):
    """Learns how a call ended, once everything is known of it."""

    def ended(self, call: "Call") -> None:
        """Take note of it; never blocks, never raises."""
        ...


class Call:
    """One request of a caller, from its arrival to the record of its end."""

    __slots__ = (
        "admitted",
        "admitted_key",
        "arrived_at",
        "attempts",
        "cache",
        "envelope",
        "error",
        "fault",
        "filling",
        "format",
        "grants",
        "hit",
        "id",
        "key",
        "latency_us",
        "left_alone",
        "limit_headers",
        "once",
        "plan",
        "replay_of",
        "reply",
        "request",
        "settled",
        "status",
        "story",
        "surface",
        "told",
        "usage_refused_by",
    )

    def __init__(self, request: HttpRequest, reply: Reply, wire: AnyCaller, surface: str, clock: Clock) -> None:
        self.id = new_id("req_", clock)
        self.request = request
        self.reply = reply
        self.format = wire
        self.surface = surface
        self.arrived_at = clock.unix_ms()
        self.admitted = self.admitted_key = False
        """Whether it is counted among those that are under way: among all, and among its key's."""
        self.grants: tuple[Grant, ...] = ()
        """What it was given of rate limits, and may have to give back."""
        self.limit_headers: list[tuple[bytes, bytes]] = []
        """How the limits of its key stand."""
        self.key: Key | None = None
        self.envelope: Envelope | None = None
        self.plan: Plan | None = None
        """Who is asked, in order."""
        self.attempts: list[Attempt] = []
        self.left_alone: list[Tried] = []
        """Those whose turn it was, and that were not asked."""
        self.settled = True
        """False while the tokens of its last attempt are still being counted."""
        self.status = 0
        """What the caller got; 0: nothing yet."""
        self.error: KomeetError | None = None
        self.fault: UpstreamError | None = None
        """Why the first provider did not answer, where another is asked now."""
        self.latency_us = 0
        """From its first byte to its end; counting tokens afterwards is no part of it."""
        self.once: Ending | None = None
        """Set where its caller gave it a name, so that it is executed once."""
        self.replay_of = ""
        """The request whose answer this one gets once more."""
        self.story: Story | None = None
        """What the caller has been told of a stream that another candidate may have to end."""
        self.cache: Result = ""
        """What the cache has to do with it."""
        self.told: bytes | None = None
        """The body that it got from there."""
        self.hit: Entry | None = None
        """What it was answered with from there."""
        self.filling: Following | None = None
        """Set where its answer may be kept there."""
        self.usage_refused_by = ""
        """The provider that seems to have refused this call for asking for usage."""

    @property
    def known_key(self) -> Key:
        """The key; only after `identify`."""
        assert self.key is not None
        return self.key

    @property
    def known_envelope(self) -> Envelope:
        """The parsed request; only after `parse`."""
        assert self.envelope is not None
        return self.envelope

    def shown_to(self, candidate: AnyCandidate) -> list[str]:
        """Return the names of the credentials that it has shown to a candidate so far."""
        return [
            one.credential.name
            for one in self.attempts
            if one.credential is not None
            and (one.candidate.provider.name, one.candidate.model) == (candidate.provider.name, candidate.model)
        ]

    @property
    def continuable(self) -> bool:
        """Whether its caller wants a stream that breaks to be ended by another model."""
        envelope, asked = self.known_envelope, self.request.headers.get(CONTINUE, b"")
        return asked == b"allow" and envelope.stream and envelope.candidates == 1 and self.format.kind == "generation"

    @property
    def unfinished(self) -> bool:
        """Whether what its caller has been told can be gone on with by another model."""
        return self.story is not None and self.story.can_go_on and not self.reply.finished

    @property
    def known_plan(self) -> Plan:
        """Who is asked; only after `choose`."""
        assert self.plan is not None
        return self.plan


class Attempt:
    """One try at one provider."""

    __slots__ = (
        "accepted",
        "answer",
        "answered_in",
        "asked_for_usage",
        "began_us",
        "candidate",
        "charge",
        "completed",
        "connecting",
        "continues",
        "cost",
        "credential",
        "ended_us",
        "error",
        "estimated",
        "failed",
        "first_token_us",
        "free",
        "held",
        "id",
        "inserted_limit",
        "losses",
        "model_served",
        "output_text",
        "passed",
        "received",
        "refused",
        "sent",
        "service_tier",
        "tap",
        "terms",
        "told",
        "upstream_request_id",
        "usage",
        "way",
        "why",
    )

    def __init__(  # noqa: PLR0915 - an attempt has that many properties
        self, candidate: AnyCandidate, call: Call, why: str = ""
    ) -> None:
        self.id = numbered("att_", call.id, len(call.attempts))
        self.candidate = candidate
        self.continues = call.story is not None
        """Whether it goes on with what another one has begun to tell."""
        self.why = f"{why}; it goes on with what was begun" if self.continues else why
        """Why it is its turn."""
        self.began_us = self.ended_us = 0
        """Microseconds from the first byte of the call."""
        self.error: KomeetError | None = None
        """Why it did not answer the call."""
        self.credential: Credential | None = None
        """Whose key it shows, where the provider takes one."""
        self.way: WayLike | None = None
        """How it is translated."""
        self.held: Nano | None = None
        """The amount on hold; None: nothing is."""
        self.inserted_limit: int | None = None
        """The output limit that we set, where the caller set none."""
        self.asked_for_usage = False
        self.connecting = False
        """Whether a connection was asked for: what fails from here on is the provider's."""
        self.answered_in = 0.0
        """Seconds from then to the head of the answer."""
        self.sent = False
        """Whether a byte of the request may have left: from then on it may cost."""
        self.answer: Answer | None = None
        """Set once the provider has answered, with whatever status."""
        self.accepted = False
        """Whether it answered with success."""
        self.refused = False
        """Whether it refused, so that the attempt costs nothing."""
        self.passed: Passed | None = None
        """The provider's refusal of the caller's own mistake."""
        self.tap: Tap | None = None
        self.told = False
        """Whether the provider's stream has told the caller how it ended: nothing may follow."""
        self.usage: Usage | None = None
        self.service_tier: str | None = None
        self.model_served = ""
        self.output_text = ""
        self.estimated = False
        self.cost = Nano(0)
        """What the provider bills."""
        self.charge = Nano(0)
        """What the customer is charged."""
        self.terms: Terms | None = None
        """How that is made; None: not agreed yet, or no price is known."""
        self.free: Free | None = None
        """What of the charge may be free."""
        self.completed = False
        """Whether the answer came whole."""
        self.first_token_us: int | None = None
        self.losses: tuple[Loss, ...] = ()
        self.upstream_request_id = ""
        self.received: list[bytes] | None = None
        """What the caller got, where the key asks for it to be kept."""
        self.failed: KomeetError | None = None
        """The error that the provider sent inside its stream."""

    @property
    def known_way(self) -> WayLike:
        """How it is translated; only after `translate`."""
        assert self.way is not None
        return self.way

    def mark_sent(self) -> None:
        """Note that the first byte is about to leave."""
        self.sent = True
