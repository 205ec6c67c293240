"""The table of the response cache, which lives in `answers.db`: a file of its own, that may be deleted at any time."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

from komeet.store.tables import NAMES

CACHE: Final = MetaData(naming_convention=NAMES)

cached_answers: Final = Table(
    "cached_answers",
    CACHE,
    Column("tenant", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("answer", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Index("ix_cached_answers_age", "created_at", "size"),
)
"""Answers of calls, by whose they are and by the digest of what was asked, which is nowhere else."""
