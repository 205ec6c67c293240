"""Counting the tokens that a call would send: nothing is generated, held or charged."""

from typing import Protocol

from komeet.core.errors import InternalError, KomeetError
from komeet.pipeline.answer import JSON
from komeet.pipeline.call import Attempt, Call
from komeet.pipeline.ports import Ports
from komeet.pipeline.run import LOG, refuse
from komeet.pipeline.stages import COUNT
from komeet.providers.provider import outgoing
from komeet.wire.format import Caller, Edited, Envelope, Passed
from komeet.wire.formats import choose_format
from komeet.wire.readable import readable

_LARGEST_COUNT = 1 << 20


class Counting(Caller, Protocol):
    """A format that has a call for counting tokens."""

    def count_path(self, model: str) -> str:
        """Return where providers take it, below their base URL."""
        ...

    def render_count(self, envelope: Envelope, model: str) -> Edited:
        """Return the request for a provider of the same format."""
        ...

    def render_counted(self, tokens: int) -> bytes:
        """Return the body of an answer."""
        ...


async def count_tokens(call: Call, counting: Counting, ports: Ports) -> None:
    """Answer with the provider's own count, or with ours where it has none; every error becomes an answer."""
    try:
        ports.admission.enter(call)
        for stage in COUNT:
            await stage(call, ports)
        await _count(call, counting, ports)
    except KomeetError as error:
        ports.limits.look(call)
        refuse(call, error)
    except Exception:  # noqa: BLE001 - a fault of ours is an answer too
        LOG.exception("call %s failed", call.id)
        refuse(call, InternalError("Komeet failed to handle this call; its log says why."))
    finally:
        ports.admission.leave(call)
        ports.limits.end(call, counted=True)


async def _count(call: Call, counting: Counting, ports: Ports) -> None:
    candidate = call.known_plan.first
    provider, envelope = candidate.provider, call.known_envelope
    ids = [(name, call.id.encode()) for name in call.format.id_headers]
    headers = [JSON, *ids, *call.limit_headers, (b"x-komeet-provider", provider.name.encode())]
    name = choose_format(counting.name, counting.kind, provider.formats, candidate.profile.formats)
    if name is None or name != counting.name or envelope.sealed:
        counting.parse_request(envelope)  # what cannot be understood is refused, as the call itself would be
        usage = await ports.estimator.estimate(counting.prompt_text(envelope), "", candidate.profile.encoding)
        call.reply.whole(200, [*headers, (b"x-komeet-usage", b"estimated")], counting.render_counted(usage.input))
        return
    attempt = Attempt(candidate, call)
    edited = counting.render_count(envelope, candidate.model)
    credential = await ports.credentials.take(candidate, (), ports.clock.monotonic())
    answer = await ports.fetcher.fetch(
        outgoing(
            provider,
            wire=counting.name,
            path=counting.count_path(candidate.model),
            body=edited.body,
            headers=edited.headers,
            key=edited.key,
            model=candidate.model,
            credential=credential,
            at_ms=ports.clock.unix_ms(),
        ),
        attempt.mark_sent,
    )
    try:
        body = await answer.read(_LARGEST_COUNT)
    finally:
        answer.close()
    if 200 <= answer.status < 300:
        call.reply.whole(200, headers, body)
        return
    body = provider.without_secrets(readable(body), credential)
    refusal = ports.formats[name].parse_error(answer.status, answer.headers, body, provider.name)
    if not isinstance(refusal, Passed):
        raise refusal
    call.reply.whole(refusal.status, headers, refusal.body)
