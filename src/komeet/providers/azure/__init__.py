"""What Azure OpenAI needs besides a row: its older API, of dated versions and deployments in the path."""
