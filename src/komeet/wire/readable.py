"""What providers say, as UTF-8 whatever it is: parts of an answer that are carried as they came are not decoded."""


def readable(data: bytes) -> bytes:
    """Return `data` with U+FFFD for what is no UTF-8, as readers of event streams take it (WHATWG HTML, 9.2.5)."""
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace").encode()
    return data
