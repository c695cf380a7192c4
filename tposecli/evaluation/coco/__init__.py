"""How good the poses are: the authors' test run over a COCO keypoint set, figures, and where they come from."""
