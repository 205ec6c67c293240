"""The way of a call, in order. Every surface goes through these, and there is no second door.

`REQUEST` runs once a call, `ATTEMPT` once for each provider that is tried while nothing has reached the caller;
whatever happens in an attempt, it is settled afterwards (`pipeline.settle`).
"""

import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec.structs import replace

from komeet.access.keys import Key
from komeet.canonical.extent import Extent
from komeet.canonical.part import Inline
from komeet.core.errors import (
    BudgetExceeded,
    ContextTooLong,
    Garbled,
    ModelNotFound,
    NotAllowed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimedOut,
    WireError,
)
from komeet.core.http import Answer
from komeet.ledger.port import Hold, Subject
from komeet.pipeline.answer import JSON, answer_stream, answer_whole, reply_headers, streams
from komeet.pipeline.bill import NOTHING, Bounds, agree, bounds, fitting_limit
from komeet.pipeline.caching import answer_from_cache
from komeet.pipeline.call import CONTINUE, Attempt, Call
from komeet.pipeline.choosing import plan_of
from komeet.pipeline.identify import identify as key_of
from komeet.pipeline.once import claim_once
from komeet.pipeline.ports import Ports
from komeet.providers.provider import JSON_TYPE, outgoing
from komeet.wire.continued import grown_by
from komeet.wire.format import Edited, Kind, Passed, Where
from komeet.wire.formats import choose_format
from komeet.wire.readable import readable
from komeet.wire.too_long import is_too_long
from komeet.wire.ways import way_between

_LEAST_OUTPUT = 16
"""Tokens: a budget that affords fewer is exhausted, rather than answered with a stump."""
_LARGEST_REFUSAL = 1 << 20

_OFFERS: Final[Mapping[Kind, str]] = {
    "generation": "chat",
    "embedding": "embeddings",
    "moderation": "moderations",
    "rerank": "reranking",
    "image": "pictures",
    "image_edit": "changes of pictures",
    "speech": "speech",
    "transcription": "transcriptions",
    "translation": "translations of sound",
}

_log = logging.getLogger("komeet.pipeline")


async def identify(call: Call, ports: Ports) -> None:
    """Find the key of the call; the ledger must know the budgets that it was made with."""
    call.key = await key_of(call.request.headers, ports.keys, ports.clock)
    if not ports.ledger.knows(call.key.books):
        await ports.ledger.learn()


async def admit(call: Call, ports: Ports) -> None:
    """Hold the key to the number of calls that it may have under way."""
    ports.admission.enter_key(call)


async def parse(call: Call, ports: Ports) -> None:  # noqa: ARG001 - stages are alike
    """Read what the caller asks for."""
    call.envelope = call.format.parse_envelope(
        call.request.body, call.request.headers, Where(call.request.path, call.request.query)
    )
    if call.request.headers.get(CONTINUE, b"allow") != b"allow":
        raise WireError(f"`{CONTINUE.decode()}` is `allow`, or is left out.", param=CONTINUE.decode())


async def choose(call: Call, ports: Ports) -> None:
    """Decide who can answer, in which order, and which of them this key may ask."""
    call.plan = plan_of(call, ports)


async def once(call: Call, ports: Ports) -> None:
    """Answer a call that was made before under the same `Idempotency-Key`; else see to it that nobody else makes it."""
    call.once = await claim_once(call, ports.once)


async def limit(call: Call, ports: Ports) -> None:
    """Take what the call may use from every rate limit that holds for it, or wait until there is room."""
    await ports.limits.admit(call)


async def cached(call: Call, ports: Ports) -> None:
    """Answer a call from the cache where that may be and can be; else see to it that its answer is kept."""
    await answer_from_cache(call, ports)


async def translate(call: Call, attempt: Attempt, ports: Ports) -> None:
    """Decide in which format the provider is asked; where it is another, read the request whole."""
    provider, profile = attempt.candidate.provider, attempt.candidate.profile
    name = choose_format(call.format.name, call.format.kind, provider.formats, profile.formats)
    if name is None:
        raise ModelNotFound(
            f"{provider.name} offers no {_OFFERS[call.format.kind]} through this gateway: `{call.known_envelope.model}`"
            " cannot answer this call.",
            param="model",
        )
    target = ports.formats[name]
    attempt.way = way_between(
        call.format,
        target,
        call.known_envelope,
        id=call.id.removeprefix("req_"),
        created=call.arrived_at // 1000,
        pass_through=ports.policy.pass_through and name not in profile.dialect.translated and not call.continuable,
        strict=(provider.losses or ports.policy.losses) == "refuse",
        story=call.story,
        effort=attempt.candidate.effort,
    )


async def gather(call: Call, attempt: Attempt, ports: Ports) -> None:  # noqa: ARG001 - stages are alike
    """Fetch what the caller names by URL and the provider has to be sent; only where that is allowed."""
    way = attempt.known_way
    if ports.media is None or way.identity:
        return
    for url in way.urls():
        media_type, data = await ports.media.fetch(url)
        way.inline(url, Inline(media_type, b64encode(data).decode("ascii")))


async def reserve(call: Call, attempt: Attempt, ports: Ports) -> None:
    """Hold the upper bound of the attempt's cost; with a budget, set an output limit where the caller set none."""
    most, extent = worst_case(call, attempt, ports)
    try:
        await _hold(call, attempt, ports, most)
    except BudgetExceeded as refused:
        if extent is None or attempt.inserted_limit is None:
            raise
        fitting = fitting_limit(attempt, extent, refused.room)
        if fitting < _LEAST_OUTPUT:
            raise
        attempt.inserted_limit = fitting
        lower = _bounds(attempt, extent, fitting)
        assert lower is not None
        await _hold(call, attempt, ports, lower)


def worst_case(call: Call, attempt: Attempt, ports: Ports) -> tuple[Bounds, Extent | None]:
    """Return the most that an attempt may cost, and what that is made from, where a budget makes it matter.

    Raises:
        NotAllowed: a budget limits it, and there is no upper bound.
    """
    agree(call, attempt, ports)
    candidate = attempt.candidate
    more = 0 if call.story is None else grown_by(call.story.text)
    bounded = ports.ledger.is_bounded(_subject(call.known_key), candidate.provider.name, candidate.model)
    if not bounded or candidate.price is None:
        # Nothing is refused for want of room: a bound from the sizes alone keeps the hold honest at no cost.
        envelope = call.known_envelope
        extent = Extent(bytes=envelope.size + more, inputs=envelope.inputs, candidates=envelope.candidates)
        limit = envelope.output_limit
        if limit is None:
            limit = attempt.candidate.profile.output_limit or ports.policy.budget_output_tokens
        return _bounds(attempt, extent, limit) or NOTHING, None
    extent = call.format.measure(call.known_envelope)
    if more:
        extent = replace(extent, bytes=extent.bytes + more)
    if extent.hosted_tools:
        raise NotAllowed(
            "Tools that the provider runs have no upper bound of cost; an API key with a budget may not use them.",
            param="tools",
        )
    limit = extent.output_limit
    if limit is None:
        limit = _most_output(call, attempt, extent, ports)
    most = _bounds(attempt, extent, limit)
    if most is None:
        raise NotAllowed(
            "The upper bound of this call's cost is not known (it refers to content that is not in its bytes, and"
            " the model's input limit is not known); an API key with a budget may not make it."
        )
    return most, extent


def _most_output(call: Call, attempt: Attempt, extent: Extent, ports: Ports) -> int:
    """Return the most output tokens of one answer for which the caller set no limit; sets one, where that can be done.

    Raises:
        NotAllowed: it can not, and what the model may make at most is not known.
    """
    profile = attempt.candidate.profile
    match call.format.kind:
        case "generation":
            attempt.inserted_limit = min(ports.policy.budget_output_tokens, profile.output_limit or 1 << 40)
            return attempt.inserted_limit
        case "image" | "image_edit":
            most = profile.image_output or ports.policy.budget_image_tokens
        case _:
            most = profile.output_limit
    if most is None and (least := _bounds(attempt, extent, 0)) is not None and least == _bounds(attempt, extent, 1):
        return 0  # nothing is charged for it
    if most is None:
        raise NotAllowed(
            f"How much `{attempt.candidate.model}` may make in answer to this call is not known, so its cost has no"
            " upper bound; an API key with a budget may not make it. Use another model, or a key without a budget."
        )
    return most


def _bounds(attempt: Attempt, extent: Extent, output_limit: int) -> Bounds | None:
    return bounds(attempt, extent, max(output_limit, attempt.known_way.least_output))


async def _hold(call: Call, attempt: Attempt, ports: Ports, most: Bounds) -> None:
    key = call.known_key
    await ports.ledger.hold(
        Hold(
            attempt_id=attempt.id,
            request_id=call.id,
            key_id=key.id,
            accounts=(key.account, *key.above),
            provider=attempt.candidate.provider.name,
            model=attempt.candidate.model,
            model_asked=call.known_envelope.model,
            tags=key.tags,
            amount=most.cost,
            charge=most.charge,
            free=attempt.free,
            held_at=ports.clock.unix_ms(),
        ),
        _subject(key),
    )
    attempt.held = most.cost


def _subject(key: Key) -> Subject:
    return Subject(key.id, key.user, key.project, key.organisation)


async def send(call: Call, attempt: Attempt, ports: Ports) -> None:
    """Ask the provider; return once it has answered with success, or with a refusal of the caller's own mistake."""
    provider = attempt.candidate.provider
    envelope = call.known_envelope
    attempt.asked_for_usage = (
        envelope.stream
        and provider.stream_usage == "ask"
        and provider.name != call.usage_refused_by
        and not ports.learned.refuses_stream_options(provider.name)
    )
    way = attempt.known_way
    edited = written(call, attempt)
    attempt.losses = edited.losses
    attempt.connecting = True
    began = ports.clock.monotonic()
    if provider.embedded:
        assert ports.embedded is not None
        provider = provider.at(*await ports.embedded.origin(attempt.candidate.model))
    else:
        attempt.credential = await ports.credentials.take(attempt.candidate, call.shown_to(attempt.candidate), began)
    answer = attempt.answer = await ports.fetcher.fetch(
        outgoing(
            provider,
            wire=way.target.name,
            path=way.target.path(attempt.candidate.model, stream=envelope.stream),
            body=edited.body,
            accept=edited.accept or (way.target.stream_type if envelope.stream else JSON_TYPE),
            content_type=edited.content_type,
            headers=edited.headers,
            key=edited.key,
            model=attempt.candidate.model,
            credential=attempt.credential,
            at_ms=ports.clock.unix_ms(),
        ),
        attempt.mark_sent,
    )
    attempt.answered_in = ports.clock.monotonic() - began
    attempt.upstream_request_id = _request_id(answer)
    if 200 <= answer.status < 300:
        attempt.accepted = True
        if provider.name == call.usage_refused_by:
            # Only now it is known: a refusal can name `stream_options` because a caller wrote the words.
            ports.learned.note_refused_stream_options(provider.name)
    else:
        await _read_refusal(call, attempt, answer)


def written(call: Call, attempt: Attempt) -> Edited:
    """Return the request as the provider would get it.

    Raises:
        Unrepresentable: 422, content that its format cannot carry.
        WireError: 400, it asks for what the model cannot do.
    """
    provider, envelope = attempt.candidate.provider, call.known_envelope
    return attempt.known_way.request(
        model=attempt.candidate.model,
        profile=attempt.candidate.profile,
        output_limit=attempt.inserted_limit,
        ask_usage=attempt.asked_for_usage or (provider.stream_usage == "always" and envelope.include_usage),
    )


def _request_id(answer: Answer) -> str:
    named = answer.headers.get(b"x-request-id") or answer.headers.get(b"request-id", b"")
    return named[:200].decode("latin-1")


async def _read_refusal(call: Call, attempt: Attempt, answer: Answer) -> None:
    """Take the provider's refusal; the status alone says what it means, where its words do not come."""
    provider = attempt.candidate.provider
    target = attempt.known_way.target
    refusal = target.parse_error(answer.status, answer.headers, b"", provider.name)
    attempt.refused = not isinstance(refusal, UpstreamTimedOut)
    try:
        body = provider.without_secrets(readable(await answer.read(_LARGEST_REFUSAL)), attempt.credential)
    except UpstreamError as broken:
        _log.info("call %s: the refusal of %s was not read: %s", call.id, provider.name, broken.message)
        body = b""
    if answer.status == 400 and attempt.asked_for_usage and target.names_stream_options(body):
        call.usage_refused_by = provider.name
        raise UpstreamRefused(f"{provider.name} does not take `stream_options`.", upstream_status=400)
    refusal = target.parse_error(answer.status, answer.headers, body, provider.name)
    if not isinstance(refusal, Passed):
        raise refusal
    attempt.passed = refusal


async def reconsider(call: Call, attempt: Attempt, ports: Ports) -> None:  # noqa: ARG001 - stages are alike
    """Give a refusal up, instead of telling it, where somebody else may do better.

    Raises:
        ContextTooLong: there are models that read more.
        ModelNotFound: this provider does not have the model (any more).
        UpstreamRefused: the call is here since another provider failed, and that is what its caller should know.
    """
    passed, provider = attempt.passed, attempt.candidate.provider
    if passed is None:
        return
    plan = call.known_plan
    if is_too_long(passed):
        plan.need_window(attempt.candidate.context_window)
        if plan.has_more():
            raise ContextTooLong(passed.message, param=passed.param)
    if passed.status == 404 and plan.has_more():
        raise ModelNotFound(passed.message or f"{provider.name} does not know this model.", param="model")
    if call.fault is not None:
        raise UpstreamRefused(f"{provider.name} refused the call: {passed.message}", upstream_status=passed.status)


async def relay(call: Call, attempt: Attempt, ports: Ports) -> None:
    """Hand the answer to the caller as it comes, and meter it from the same bytes."""
    if attempt.passed is not None:
        passed, way = attempt.passed, attempt.known_way
        body = passed.body if way.target.name == call.format.name else call.format.render_refusal(passed)
        call.status = passed.status
        call.reply.whole(passed.status, [JSON, *reply_headers(call, attempt)], body)
        return
    assert attempt.answer is not None
    if call.known_envelope.stream and streams(attempt):
        await answer_stream(call, attempt, attempt.answer, ports)
    elif call.reply.started:
        raise Garbled(f"{attempt.candidate.provider.name} sent no stream.")
    else:
        await answer_whole(call, attempt, attempt.answer, ports)


RequestStage = Callable[[Call, Ports], Awaitable[None]]
AttemptStage = Callable[[Call, Attempt, Ports], Awaitable[None]]

REQUEST: tuple[RequestStage, ...] = (identify, admit, parse, once, choose, limit, cached)
COUNT: tuple[RequestStage, ...] = (identify, admit, parse, choose, limit)
ATTEMPT: tuple[AttemptStage, ...] = (translate, gather, reserve, send, reconsider, relay)
