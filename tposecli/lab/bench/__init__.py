"""How fast it is here, measured: ceilings of the machine, nets, stages, whole runs, and how the cost grows."""
