"""The command line: options become a frozen job, a job becomes one call."""
