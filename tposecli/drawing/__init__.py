"""Drawing of poses on pixels."""
