"""Makes the price book from the library that carries the prices."""

from komeet.catalog.book import Book


def compile_book() -> Book:
    """Compile every provider of the installed `genai-prices`; takes about a second, most of it its import.

    Raises:
        ValueError: the library says something that the book cannot express.
    """
    from komeet.catalog.genai import read_all  # noqa: PLC0415 - half a second, and not needed where a book is kept

    return read_all()
