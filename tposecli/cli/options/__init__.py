"""Groups of command-line options, and the settings made of them."""
