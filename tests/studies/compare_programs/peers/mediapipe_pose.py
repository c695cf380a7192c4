"""MediaPipe Pose with the model that comes with the package (up to 0.10.21): one person, followed from frame to frame.

``python mediapipe_pose.py CLIP POSES.json [VIDEO.mp4]``
"""

from __future__ import annotations

import sys
from contextlib import suppress

import cv2
import mediapipe
import results
from mediapipe.python.solutions import drawing_utils, pose

COCO = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""Its landmarks that are COCO's keypoints, in COCO's order."""


def main(clip: str, poses: str, drawn: str | None = None) -> None:
    """Predict, frame by frame, and write the poses."""
    reader = cv2.VideoCapture(clip)
    size = int(reader.get(cv2.CAP_PROP_FRAME_WIDTH)), int(reader.get(cv2.CAP_PROP_FRAME_HEIGHT))
    writer = None
    if drawn is not None:
        writer = cv2.VideoWriter(drawn, cv2.VideoWriter.fourcc(*"mp4v"), reader.get(cv2.CAP_PROP_FPS), size)
    people: list[dict[str, object]] = []
    frame = 0
    with pose.Pose() as model:
        while True:
            there, image = reader.read()
            if not there:
                break
            found = model.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).pose_landmarks
            if found is not None:
                chosen = [found.landmark[index] for index in COCO]
                rows = [(mark.x * size[0], mark.y * size[1], mark.visibility) for mark in chosen]
                people.append(results.entry(frame, rows, sum(row[2] for row in rows) / len(rows)))
            if writer is not None:
                if found is not None:
                    drawing_utils.draw_landmarks(image, found, pose.POSE_CONNECTIONS)
                writer.write(image)
            frame += 1
    if writer is not None:
        writer.release()
    results.write(poses, people)


if __name__ == "__main__":
    with suppress(AttributeError):
        print(mediapipe.__version__)  # noqa: T201
    main(*sys.argv[1:])
