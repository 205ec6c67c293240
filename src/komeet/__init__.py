"""Komeet: one OpenAI-compatible address and one key in front of every model."""

from importlib.metadata import version

__version__ = version("komeet")
