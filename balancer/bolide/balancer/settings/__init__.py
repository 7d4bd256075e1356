"""The configuration of a balancer: one TOML file, checked before anything is done with it."""
