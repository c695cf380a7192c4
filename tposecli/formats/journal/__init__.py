"""The journal: raw poses of a run, frame by frame, with what is needed to resume or repeat it."""
