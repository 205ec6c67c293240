"""The Messages format of Anthropic: both roles, stream and errors."""
