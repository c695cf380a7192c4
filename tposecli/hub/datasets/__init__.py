"""Public data sets: where their publishers have them, how they are laid out here, how they get here."""
