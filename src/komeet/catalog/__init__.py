"""Models, their profiles, limits and prices: data, and its look-up."""
