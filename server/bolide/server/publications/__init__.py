"""Publications: what an app publishes, by name."""
