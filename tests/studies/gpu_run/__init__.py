"""Everything that is to be known of a CUDA machine, in minutes, by one command."""
