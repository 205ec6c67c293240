"""A provider is a row in `registry.toml`; code only where its protocol requires it."""
