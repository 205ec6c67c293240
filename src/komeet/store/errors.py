"""What the store tells those who operate it; callers of the API never see it."""


class StoreError(Exception):
    """The data directory cannot be used, or not as it was asked; the message says why, and what to do."""
