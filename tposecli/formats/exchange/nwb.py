"""Neurodata Without Borders with the extension ndx-pose.

sleap-io's writer is not used: it keeps a constant rate as a whole number, and 29.97 frames per second become 29.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from tposecli.formats.exchange.recording import Recording

REFERENCE: Final = "Pixels of the frame, x to the right and y down; (0, 0) is the centre of the first pixel."
SCORE: Final = "Peak of the keypoint's heatmap, 0 to 1"


def export_nwb(recording: Recording, path: Path) -> None:
    """Write one person as ``behavior/PoseEstimation``, with the time of each frame.

    A session needs a start, which a video does not have: it is the time of the conversion.
    """
    from ndx_pose import PoseEstimation, PoseEstimationSeries, Skeleton, Skeletons
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.file import Subject

    person = recording.sole_person()
    file = NWBFile(
        session_description=f"Poses of {person.name} in {recording.source}, {recording.info.get('command', '')}. "
        "The start of the session is the time of the conversion.",
        identifier=f"{recording.stem}_{person.name}",
        session_start_time=datetime.now(UTC),
        subject=Subject(subject_id=person.name, species="Homo sapiens"),
    )
    layout, grid = recording.layout, recording.grid(person)
    skeleton = Skeleton(name="person", nodes=list(layout.names), edges=np.array(layout.limbs, np.uint8).reshape(-1, 2))
    series = [
        PoseEstimationSeries(
            name=joint,
            description=f"{joint} of {person.name}",
            data=grid[:, place, :2],
            unit="pixels",
            reference_frame=REFERENCE,
            timestamps=recording.time_s,
            confidence=grid[:, place, 2],
            confidence_definition=SCORE,
        )
        for place, joint in enumerate(layout.names)
    ]
    module = file.create_processing_module("behavior", "Poses estimated from a video")
    module.add(Skeletons(skeletons=[skeleton]))
    poses = PoseEstimation(
        pose_estimation_series=series,
        description="2D keypoints of one person",
        scorer=recording.scorer,
        source_software="tposecli",
        source_software_version=str(recording.info.get("tool_version", "")),
        skeleton=skeleton,
    )
    module.add(poses)
    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)
