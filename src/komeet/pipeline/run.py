"""Leads a call through the stages, attempt by attempt, to its one answer, its outcomes and its record."""

import logging

from komeet.core.errors import InternalError, KomeetError, UpstreamError
from komeet.pipeline.answer import elapsed_us, reply_headers
from komeet.pipeline.call import Attempt, Call
from komeet.pipeline.failover import answer
from komeet.pipeline.ports import Ports
from komeet.pipeline.record import record
from komeet.pipeline.stages import REQUEST
from komeet.wire.media.tap import BytesTap
from komeet.wire.way import HubTap

LOG = logging.getLogger("komeet.pipeline")


async def run(call: Call, ports: Ports) -> None:
    """Answer the call; every error becomes an answer in the caller's format.

    Cancelling means that the caller has left: the provider's connection is closed, and the attempt is settled.
    """
    try:
        ports.admission.enter(call)
        for stage in REQUEST:
            await stage(call, ports)
            if call.reply.finished:
                break  # it was answered before
        if not call.reply.finished:
            await answer(call, ports)
    except KomeetError as error:
        ports.limits.look(call)
        refuse(call, error)
    except Exception:
        LOG.exception("call %s failed", call.id)
        refuse(call, InternalError("Komeet failed to handle this call; its log says why."))
    finally:
        ports.admission.leave(call)
        ports.limits.end(call, counted=call.settled)
        call.latency_us = elapsed_us(call, ports)
        if call.settled:
            record(call, ports)
        if call.once is not None:
            await call.once.end(call)


def refuse(call: Call, error: KomeetError) -> None:
    """Say the error to the caller, whatever has reached it before."""
    call.error = error
    if error.detail is not None:
        LOG.warning("call %s: %s (%s)", call.id, error.message, error.detail)
    if call.reply.finished:
        return  # the fault came behind the answer
    if call.reply.started:
        # What has reached the caller cannot be taken back: it ends with an error, never as if it were whole.
        if call.attempts[-1].told:
            call.reply.end()
        elif (words := _last_words(call, error)) is None:
            call.reply.abort()
        else:
            call.reply.write(words)
            call.reply.end()
        return
    status, headers, body = call.format.render_error(error)
    call.status = status
    call.reply.whole(status, [*headers, *reply_headers(call, _culprit(call, error))], body)


def _last_words(call: Call, error: KomeetError) -> bytes | None:
    """Return what ends a stream in an error; where it was translated, whoever wrote it knows how far it had come.

    None: it is no text, in which nothing can be said.
    """
    tap = next((one.tap for one in reversed(call.attempts) if one.tap is not None), None)
    if isinstance(tap, BytesTap):
        return None
    if isinstance(tap, HubTap) and isinstance(error, UpstreamError):
        return tap.fail(error)
    return call.format.render_stream_error(error)


def _culprit(call: Call, error: KomeetError) -> Attempt | None:
    """Return the attempt whose provider the error is about."""
    return call.attempts[-1] if call.attempts and isinstance(error, UpstreamError) else None
