"""The registry in the store, as a balancer's source of members."""
