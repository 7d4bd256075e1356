"""What a run found, and what it is held against."""
