"""Pictures and sound: formats of OpenAI's that callers and providers share, so that bytes go through as they came."""
