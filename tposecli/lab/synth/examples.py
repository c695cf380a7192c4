"""The rendered people that come with the program, with whom int8 nets are quantised: ``weights/int8-examples.zip``.

``python -m tposecli.lab.synth.examples weights/int8-examples.zip`` makes the file again.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from tposecli.inference.backends.examples import NOTE
from tposecli.lab.synth.scene import Shot
from tposecli.lab.synth.training import random_scene, visible_people

SCENES: Final = 48
SIZE_WH: Final = (640, 480)
MIN_AREA: Final = 3000.0
"""Visible pixels that a person must have: the net is rarely given smaller ones."""
QUALITY: Final = 80


def example(number: int) -> Shot:
    """Render a crowd, with the boxes of those who can be seen well."""
    return visible_people(random_scene(np.random.default_rng([number, 88]), SIZE_WH).render(), MIN_AREA)


def write_examples(path: Path, scenes: int = SCENES) -> None:
    """Write a zip file of WebP images and of the boxes in them."""
    boxes = {}
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(scenes):
            shot, name = example(number), f"{number:02d}.webp"
            done, data = cv2.imencode(
                ".webp", cv2.cvtColor(shot.image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, QUALITY]
            )
            assert done
            archive.writestr(zipfile.ZipInfo(name), data.tobytes())
            boxes[name] = shot.boxes.xyxy.round(1).tolist()
        archive.writestr(zipfile.ZipInfo(NOTE), json.dumps(boxes))


if __name__ == "__main__":
    write_examples(Path(sys.argv[1]))
