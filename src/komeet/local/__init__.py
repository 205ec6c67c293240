"""The embedded model: a supervised child process, spoken to like any provider."""
