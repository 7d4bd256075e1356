"""Live queries that are read again because nobody can match changes for them."""
