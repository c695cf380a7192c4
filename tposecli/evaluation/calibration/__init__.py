"""Calibration: what a model's scores say, fitted and tested on annotated photos.

The maps are those of :mod:`tposecli.hub.checkpoints.calibration`, by maximum likelihood with a slight penalty. A
detected box is a person if it has an IoU of at least 0.5 with an annotated one, one to one; boxes that lie mostly in
crowds are left out. A keypoint of such a person is right if it lies within 0.2 torso lengths (mid-shoulder to mid-hip)
of the annotated one; joints that are not annotated, and people without a torso, are left out.

How well they fit is told by the expected calibration error, the mean difference between predicted and true frequency
over ten equal bins of probability, weighted by their size (Guo et al., ICML 2017), and by the reliability diagram.
Both are of predictions by maps that were fitted without the photo in question (five folds).
"""
