"""How often and how much: rate limits as pure arithmetic, values in and values out."""
