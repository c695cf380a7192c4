"""Train the bundled person detector."""
