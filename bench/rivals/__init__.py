"""Other gateways as they install, put through what Komeet is put through."""
