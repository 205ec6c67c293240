"""Keys, principals, rights, and the access rule that every route carries."""
