"""Reranking: one module for each format, which do not know each other, and what they share."""
