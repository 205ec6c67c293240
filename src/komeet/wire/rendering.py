"""What the rendering of one request has in hand, whatever the format."""

from collections.abc import Mapping

from komeet.canonical.loss import Loss
from komeet.canonical.request import JsonOutput, Request
from komeet.canonical.tool import CustomTool, FunctionTool, ToolChoice, ToolMode
from komeet.catalog.profile import Profile, Structured
from komeet.wire.structured import JSON_TOOL


class Rendering:
    """The request, the model's profile, and what is lost on the way."""

    __slots__ = ("losses", "profile", "request")

    def __init__(self, request: Request, profile: Profile) -> None:
        self.request = request
        self.profile = profile
        self.losses: list[Loss] = []

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

    def lose_set(self, knobs: Mapping[str, object], reason: str) -> None:
        """Declare the loss of each knob that is set, by its path."""
        for path, value in knobs.items():
            if value:
                self.lose(path, reason)
