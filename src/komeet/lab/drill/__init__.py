"""The drill: two upstreams that lie byte for byte, a caller, and a verdict on what a gateway made of it."""
