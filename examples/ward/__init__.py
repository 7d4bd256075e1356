"""A ward board: beds, patients, vital signs that change every second, and notes."""
