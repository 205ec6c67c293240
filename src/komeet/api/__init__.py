"""One module per surface of the public API; handlers stay thin."""
