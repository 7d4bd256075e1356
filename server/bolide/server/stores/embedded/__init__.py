"""What the stores with their documents in memory share; private to the stores."""
