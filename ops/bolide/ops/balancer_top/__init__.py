"""``bolide top --balancer``: what a balancer does, live."""
