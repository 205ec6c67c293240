"""OpenAI's legacy Completions, for callers only: a prompt is one turn of the user."""
