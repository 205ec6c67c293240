"""From the name of a model to the candidates that can answer: decisions, never performed here."""
