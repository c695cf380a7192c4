"""Public data sets: downloading, unpacking and checking them."""
