"""A small renderer of articulated people: reproducible images with exact ground truth, for tests and training.

- ``clips.walk_scene``, ``clips.crossing_scene(seed, people)``, ``clips.portrait_scene``: animated scenes;
  ``scene.render(time_s)`` returns a ``Shot``: image, boxes, keypoints, visibility, ids, areas.
- ``training.random_scene(rng, size_wh)``: a crowd in a random place, for detectors and still images.
- ``training.random_crop(rng, size_wh)``: a crop of one person for the pose net, dozens per second.
- ``sample_media.make_all(folder)``: recreates everything in ``sample_media/``.
"""
