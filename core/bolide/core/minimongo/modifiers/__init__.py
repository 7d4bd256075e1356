"""What a modifier compiles to: its update operators; private to minimongo."""
