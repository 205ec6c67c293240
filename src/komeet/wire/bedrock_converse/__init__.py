"""Bedrock's Converse and ConverseStream, in the provider's role only."""
