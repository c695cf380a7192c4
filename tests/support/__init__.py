"""Material and helpers that several tests share."""
