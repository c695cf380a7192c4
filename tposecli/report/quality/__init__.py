"""The quality of a run, judged from its poses alone: which joints are probably wrong, and what is odd about a track."""
