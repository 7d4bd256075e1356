"""The registry in the store: nodes announce themselves, balancers read it."""
