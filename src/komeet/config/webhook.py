"""Where events of budgets are sent, as the configuration says it."""

from collections.abc import Awaitable, Callable
from typing import Final

from komeet.config.schema import Config
from komeet.core.http import Deadlines, Fetcher, Headers, Outgoing
from komeet.core.secrets import Secret
from komeet.providers.address import parse_base_url

_DEADLINES: Final = Deadlines(connect=5.0, first_byte=10.0, idle=10.0, total=15.0)
_MOST_BYTES: Final = 65_536
"""Of an answer, which nobody reads."""


def webhook_of(config: Config, fetcher: Fetcher) -> tuple[Callable[[Headers, bytes], Awaitable[int]], Secret] | None:
    """Return what sends to the webhook of budgets, and the secret that it is signed with; None: there is none."""
    webhook = config.budgets.webhook
    if webhook is None:
        return None
    address, mark, query = webhook.url.partition("?")
    origin, path = parse_base_url(address)
    target = f"{path or '/'}{mark}{query}"

    async def post(headers: Headers, body: bytes) -> int:
        outgoing = Outgoing(origin=origin, target=target, headers=headers, body=body, deadlines=_DEADLINES)
        answer = await fetcher.fetch(outgoing)
        try:
            await answer.read(_MOST_BYTES)
        finally:
            answer.close()
        return answer.status

    return post, webhook.secret
