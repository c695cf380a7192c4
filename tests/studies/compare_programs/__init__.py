"""Compare whole runs of ``tpose`` with what people would take instead."""
