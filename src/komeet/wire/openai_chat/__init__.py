"""The Chat Completions format of OpenAI: both roles, stream and errors."""
