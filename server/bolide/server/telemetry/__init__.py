"""What a node counts and shows of itself."""
