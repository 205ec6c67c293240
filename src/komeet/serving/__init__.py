"""The processes of `komeet serve`: a supervisor, and workers that share its listening socket."""
