"""Training of the bundled kind of person detector."""
