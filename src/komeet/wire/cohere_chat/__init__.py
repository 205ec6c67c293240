"""The chat format of Cohere (`/v2/chat`), as providers speak it."""
