"""JSON of a schema from models that have no member for it: by a tool that they must call."""

from typing import Final

JSON_TOOL: Final = "json_output"
"""The tool whose arguments are the answer."""
