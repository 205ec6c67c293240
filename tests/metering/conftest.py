import pytest

from komeet.catalog.book import Book
from komeet.catalog.compile import compile_book


@pytest.fixture(scope="session")
def book() -> Book:
    return Book.decode(compile_book().encode())
