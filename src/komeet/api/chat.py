"""`POST /v1/chat/completions`."""

from komeet.core.http import HttpRequest, Reply
from komeet.pipeline.call import Call
from komeet.pipeline.ports import Ports
from komeet.pipeline.run import run
from komeet.wire.openai_chat.format import FORMAT

PATH = "/v1/chat/completions"


class ChatCompletions:
    """The surface that speaks OpenAI's Chat Completions."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def create(self, request: HttpRequest, reply: Reply) -> None:
        """Make one call."""
        await run(Call(request, reply, FORMAT, PATH, self._ports.clock), self._ports)
