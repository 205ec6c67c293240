"""`Idempotency-Key`: a call that is sent again is answered again, and not executed again.

As Stripe has it: the name is the key's own, the body must be the same, the first answer is kept once execution began,
errors too, and stays for a day. What never began (a mistake in the call, no room in a budget or a limit, a provider
that refused it before it did anything) is not kept. Nothing about money is decided here: a replay is not billed
because nothing is executed, and what is executed is billed whatever it is called.
"""

import hashlib
from typing import Final, Protocol

from komeet.canonical.once import Claim, Kept
from komeet.core.errors import AlreadyExecuted, Conflict, KeyReused, WireError
from komeet.core.money import Nano, dollars
from komeet.pipeline.call import Call
from komeet.pipeline.copied import KeptReply

HEADER: Final = b"idempotency-key"
_REPLAYED: Final = (b"idempotent-replayed", b"true")
_LONGEST: Final = 255
WHOLE_MOST: Final = 1 << 20
STREAM_MOST: Final = 64 << 10
"""Bytes of an answer that are kept."""
_OF_THE_CALL: Final = (b"retry-after", b"x-komeet-cost", b"x-komeet-cache")
_LIMITS: Final = b"x-ratelimit-"


class Memory(Protocol):
    """Remembers calls by the names that their callers gave."""

    async def claim(self, claim: Claim) -> Kept | None:
        """Make the call this process's, so that nobody else executes it; or return what became of it before.

        Raises:
            Unavailable: the store is out of reach; the call is not made.
        Cancelled while it waits, it releases the call.
        """
        ...

    async def keep(self, claim: Claim, kept: Kept) -> None:
        """Keep what became of a claimed call; never raises."""
        ...

    async def release(self, claim: Claim) -> None:
        """Let a claimed call be made again, since nothing of it was executed; never raises."""
        ...


class Once:
    """One call under a name that its caller gave."""

    __slots__ = ("_claim", "_memory", "_reply")

    def __init__(self, memory: Memory, claim: Claim, reply: KeptReply) -> None:
        self._memory: Final = memory
        self._claim: Final = claim
        self._reply: Final = reply

    async def end(self, call: Call) -> None:
        """Keep what became of the call, or let it be made again; then its caller gets the end of its answer."""
        try:
            if not _executed(call):
                await self._memory.release(self._claim)
            else:
                await self._memory.keep(self._claim, self._outcome(call))
        finally:
            self._reply.let_go()

    def _outcome(self, call: Call) -> Kept:
        reply = self._reply
        ids = call.format.id_headers
        kept = [
            (name, value)
            for name, value in reply.headers
            if name not in ids and name not in _OF_THE_CALL and not name.startswith(_LIMITS)
        ]
        known = call.settled and all(attempt.candidate.price is not None for attempt in call.attempts)
        return Kept(
            request_id=call.id,
            body_digest=self._claim.body_digest,
            status=reply.status,
            headers=tuple(kept),
            body=reply.body,
            streamed=reply.streamed,
            cost=Nano(sum(attempt.cost for attempt in call.attempts)) if known else None,
        )


async def claim_once(call: Call, memory: Memory | None) -> Once | None:
    """Take note of the name that the caller gave the call, if any; answer it, if it was executed before.

    Returns what is to be told of the call's end; None: there is nothing to tell.

    Raises:
        WireError: 400, it is no name.
        KeyReused: 400, another call was made under this name.
        Conflict: 409, the call is under way.
        AlreadyExecuted: 409, it was executed, and its answer was not kept.
        Unavailable: the store is out of reach.
    """
    name = call.request.headers.get(HEADER)
    if name is None or memory is None:
        return None
    if not 0 < len(name) <= _LONGEST:
        raise WireError(f"`Idempotency-Key` has {len(name)} characters; it may have 1 to {_LONGEST}.")
    request = call.request
    asked = hashlib.sha256(b"%b\n%b\n" % (request.path.encode(), request.query))
    asked.update(_said(call))
    claim = Claim(
        key_id=call.known_key.id,
        digest=hashlib.sha256(name).digest(),
        body_digest=asked.digest(),
        request_id=call.id,
        at=call.arrived_at,
    )
    found = await memory.claim(claim)
    if found is None:
        call.reply = reply = KeptReply(call.reply, whole_most=WHOLE_MOST, stream_most=STREAM_MOST)
        return Once(memory, claim, reply)
    _replay(call, claim, found)
    return None


def _said(call: Call) -> bytes:
    """Return the body, without the boundary of a form: libraries make another one whenever they send it again."""
    form = None if call.envelope is None else call.envelope.form
    return call.request.body if form is None else form.body.replace(form.boundary, b"")


def _replay(call: Call, claim: Claim, found: Kept) -> None:
    if found.body_digest != claim.body_digest:
        raise KeyReused(
            "This `Idempotency-Key` was used for another call of this API key, with another address or body. Use a new"
            f" one for each call (the other one was {found.request_id})."
        )
    if not found.done:
        raise Conflict(
            f"The call of this `Idempotency-Key` is under way ({found.request_id}); try again when it has ended.",
            retry_after=1.0,
        )
    call.replay_of = found.request_id
    if found.body is None:
        cost = "a cost that is in the request log" if found.cost is None else f"a cost of {dollars(found.cost)} dollars"
        raise AlreadyExecuted(
            f"The call of this `Idempotency-Key` was executed as {found.request_id}, with status {found.status or 499}"
            f" and {cost}; its answer was too long to be kept, or never came to its end."
        )
    ids = [(name, call.id.encode()) for name in call.format.id_headers]
    origin = (b"x-komeet-replay-of", found.request_id.encode())
    headers = [*found.headers, *ids, _REPLAYED, origin, (b"x-komeet-cost", dollars(Nano(0)).encode())]
    call.status = found.status
    if found.streamed:
        call.reply.begin(found.status, headers)
        call.reply.write(found.body)
        call.reply.end()
    else:
        call.reply.whole(found.status, headers, found.body)


def _executed(call: Call) -> bool:
    """Whether a provider may have done something, or has judged the call itself.

    Not where nothing was sent, nor where what was sent was refused for a reason that may pass: too many calls, a fault.
    """
    return any(attempt.passed is not None or (attempt.sent and not attempt.refused) for attempt in call.attempts)
