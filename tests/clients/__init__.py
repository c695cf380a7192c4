"""Our COCO JSON, read by the programs that users open it with; run with ``python -m tests.clients``."""
