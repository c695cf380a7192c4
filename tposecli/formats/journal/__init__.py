"""The journal: raw poses of a run, frame by frame, from which the run is resumed or its later stages repeated."""
