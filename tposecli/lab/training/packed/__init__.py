"""Training from packed crops: what a run of a few minutes on a GPU needs, in files that are quickly moved.

Each person is stored once, as a JPEG of a region around the crop; views of it are made on the device. A run teaches a
net by its labels and, if there is one, by the heatmaps of a teacher that sees the same view undisturbed.
"""
