"""Finding the people of a frame."""
