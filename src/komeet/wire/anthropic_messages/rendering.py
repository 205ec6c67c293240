"""What the rendering of one request has in hand."""

import re
from typing import Final

from komeet.canonical.loss import Loss
from komeet.canonical.request import JsonOutput, Request
from komeet.canonical.tool import CustomTool, FunctionTool, ToolChoice, ToolMode
from komeet.catalog.profile import Profile, Structured
from komeet.wire.anthropic_messages.cache import Marks
from komeet.wire.call_ids import CallIds, IdRule
from komeet.wire.structured import JSON_TOOL

_IDS: Final = IdRule(re.compile(r"[a-zA-Z0-9_-]{1,64}"), "toolu_")


class Rendering:
    """The model's profile, the ids of the conversation's calls, its cache marks, and what is lost on the way."""

    __slots__ = ("ids", "losses", "marks", "profile", "request")

    def __init__(self, request: Request, profile: Profile) -> None:
        self.request = request
        self.profile = profile
        self.losses: list[Loss] = []
        self.ids = CallIds(_IDS)
        self.marks = Marks(request, self.losses)

    @property
    def answers_by_tool(self) -> bool:
        """Whether the answer is to be the arguments of a tool of ours."""
        output = self.request.output
        if self.profile.structured is not Structured.TOOL or not isinstance(output, JsonOutput) or not output.schema:
            return False
        return all(
            not isinstance(tool, FunctionTool | CustomTool) or tool.name != JSON_TOOL for tool in self.request.tools
        )

    @property
    def forces_call(self) -> bool:
        """Whether the model is made to ask for a tool."""
        choice = self.request.tool_choice
        forced = isinstance(choice, ToolChoice) and choice.mode in (ToolMode.REQUIRED, ToolMode.NAMED)
        return self.answers_by_tool or (forced and bool(self.request.tools))

    def lose(self, path: str, reason: str) -> None:
        """Declare a loss."""
        self.losses.append(Loss(path, reason))
