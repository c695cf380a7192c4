"""A small renderer of articulated people: deterministic pictures with exact truth, for tests and for training.

- ``clips.walk_scene``, ``clips.crossing_scene(seed, people)``, ``clips.portrait_scene``: scenes with a time;
  ``scene.render(time_s)`` gives a ``Shot``: picture, boxes, keypoints, visibility, ids, areas.
- ``training.random_scene(rng, size_wh)``: a crowd in a random place, for detectors and stills.
- ``training.random_crop(rng, size_wh)``: one person's crop for the pose net, dozens a second.
- ``sample_media.make_all(folder)``: everything in ``sample_media/`` again.
"""
