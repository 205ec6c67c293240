"""From usage to cost, from a request to the upper bound of its cost, and counting tokens where nobody reported them."""
