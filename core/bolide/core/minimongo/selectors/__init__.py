"""What a selector compiles to: its conditions by operator; private to minimongo."""
