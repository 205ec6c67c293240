"""Configurations of other gateways, made into Komeet's: source value in, configuration and findings out."""
