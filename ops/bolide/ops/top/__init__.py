"""``bolide top``: what a node does, asked of it again and again."""
