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
from komeet.api.catalog import PublicModels
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
    *,
    public: bool = False,
) -> tuple[Route, ...]:
    """Return the routes.

    Args:
        ports: what calls may touch.
        readiness: says what is missing.
        exposition: writes the metrics.
        payments: take payments; None: there are none.
        public: whether everybody may see the list of models.
    """
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
        *((PublicModels(ports).route,) if public else ()),
        *(() if payments is None else (payments.route,)),
    )
