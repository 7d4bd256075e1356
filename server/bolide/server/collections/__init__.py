"""Collections: an app's door to its documents."""
