"""What every package may use: files, locks, threads, signals, errors."""
