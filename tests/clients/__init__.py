"""Our pose files, read by the programs that users open them with; run with ``python -m tests.clients``."""
