"""Wire formats: bytes in, values out, and back. One folder a format; they do not know each other."""
