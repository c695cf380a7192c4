"""Files from the network: resumed after a cut, checked before they get their name; the standard library only."""
