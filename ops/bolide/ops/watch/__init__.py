"""``bolide watch``: what a publication sends, as it changes."""
