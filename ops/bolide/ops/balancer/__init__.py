"""The commands of a balancer."""
