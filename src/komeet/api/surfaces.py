"""Every public route of Komeet, in one list."""

from collections.abc import Awaitable, Callable, Mapping

from komeet.access.rules import Access
from komeet.api import (
    audio,
    chat,
    completions,
    embeddings,
    gemini,
    images,
    messages,
    models,
    moderations,
    rerank,
    responses,
)
from komeet.api.explain import Explain
from komeet.api.operations import Operations
from komeet.api.payments import Payments
from komeet.api.routes import Route
from komeet.pipeline.ports import Ports


def routes(
    ports: Ports,
    readiness: Callable[[], Mapping[str, str]],
    exposition: Callable[[], Awaitable[bytes]],
    payments: Payments | None = None,
) -> tuple[Route, ...]:
    """Return the routes; `readiness` says what is missing, `exposition` writes the metrics, `payments` may be none."""
    catalog = models.Models(ports)
    operations = Operations(readiness, exposition)
    return (
        *(
            each.surface(ports).route
            for each in (chat, completions, responses, messages, embeddings, moderations, rerank, images, audio)
        ),
        images.edits(ports).route,
        *(each.route for each in audio.written(ports)),
        messages.CountTokens(ports).route,
        *gemini.Gemini(ports).routes,
        Route(method="GET", path=models.PATH, access=Access.KEY, handler=catalog.list),
        Route(method="GET", path=models.PATH + "/", rest=True, access=Access.KEY, handler=catalog.retrieve),
        Route(method="GET", path=models.GEMINI_PATH, access=Access.KEY, handler=catalog.list),
        Route(method="GET", path=models.GEMINI_PATH + "/", rest=True, access=Access.KEY, handler=catalog.retrieve),
        Explain(ports).route,
        Route(method="GET", path="/healthz", access=Access.PUBLIC, handler=operations.healthz),
        Route(method="GET", path="/readyz", access=Access.PUBLIC, handler=operations.readyz),
        Route(method="GET", path="/metrics", access=Access.OPERATOR, handler=operations.metrics),
        *(() if payments is None else (payments.route,)),
    )
