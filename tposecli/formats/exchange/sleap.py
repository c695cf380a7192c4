"""SLEAP's ``.slp``, through sleap-io."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tposecli.formats.base import FrameRef, PersonAttributes, PoseCollector, PoseFile, PoseSource, keypoint_order
from tposecli.formats.exchange.recording import Recording, given_names, track_ids
from tposecli.formats.frame_numbers import MAX_FRAMES
from tposecli.types import UNTRACKED
from tposecli.utils.errors import InputError

if TYPE_CHECKING:
    from sleap_io import Labels, Skeleton

HDF5: Final = b"\x89HDF\r\n\x1a\n"


def export_slp(recording: Recording, path: Path) -> None:
    """Write people as predicted instances; the file holds the name of the video, not its pixels."""
    import sleap_io

    skeleton = _skeleton(recording)
    size_wh = recording.size_wh[0].tolist() if len(recording.size_wh) else [1, 1]
    frames = int(recording.index.max(initial=-1)) + 1
    shape = {"shape": (frames, *size_wh[::-1], 3), "grayscale": False}
    video = sleap_io.Video(recording.source, open_backend=False, backend_metadata=shape)
    tracks = {person.track: sleap_io.Track(person.name) for person in recording.people}
    found: dict[int, list[Any]] = {}
    xy = np.where(recording.score[:, :, None] > 0, recording.xy, np.nan).astype(np.float64)
    for row, place in enumerate(recording.frame.tolist()):
        instance = sleap_io.PredictedInstance.from_numpy(
            xy[row],
            skeleton,
            recording.score[row].astype(np.float64),
            float(recording.person_score[row]),
            tracks[int(recording.track[row])],
        )
        found.setdefault(int(recording.index[place]), []).append(instance)
    labels = sleap_io.Labels(
        labeled_frames=[sleap_io.LabeledFrame(video, index, people) for index, people in found.items()],
        videos=[video],
        skeletons=[skeleton],
        tracks=list(tracks.values()),
        provenance={key: str(recording.info.get(key)) for key in ("tool", "tool_version", "model", "command")},
    )
    sleap_io.save_slp(labels, str(path), embed=False, verbose=False)


def _skeleton(recording: Recording) -> Skeleton:
    import sleap_io

    layout = recording.layout
    nodes = list(layout.names)
    pairs = [(place, other) for place, other in enumerate(layout.mirror) if place < other]
    return sleap_io.Skeleton(nodes, [list(limb) for limb in layout.limbs], [list(pair) for pair in pairs], "person")


def is_hdf5(head: bytes) -> bool:
    """Check whether a file that begins with these bytes is HDF5, which other programs use, too."""
    return head.startswith(HDF5)


def read_slp(source: PoseSource) -> PoseFile:
    """Read the instances of a video: those corrected by hand, else the predicted ones.

    Raises:
        InputError: It is damaged, has several videos, or sleap-io is missing.
    """
    path = source.path
    try:
        import sleap_io

        labels = sleap_io.load_slp(str(path), open_videos=False)
    except ImportError as error:
        raise InputError(f"{path}: needs sleap-io; pip install 'tposecli[sleap]'") from error
    except Exception as error:  # h5py and sleap-io raise whatever they like for a damaged file.
        raise InputError(
            f"{path}: not a file of SLEAP ({error}); save it again in SLEAP, or export DeepLabCut's tables as CSV"
        ) from error
    if len(labels.videos) > 1:
        raise InputError(f"{path}: has {len(labels.videos)} videos; save each in a file of its own")
    names = [node.name for node in labels.skeletons[0].nodes] if labels.skeletons else []
    people = PoseCollector(path, len(names))
    ids = track_ids([track.name for track in labels.tracks])
    frames = _frames(path, labels)
    for frame in labels:
        for number, one in enumerate([*frame.user_instances, *frame.unused_predictions], start=1):
            points = one.numpy()
            score = one.points["score"] if "score" in (one.points.dtype.names or ()) else np.ones(len(points))
            score = np.where(np.isnan(points[:, 0]), 0, np.where(np.isnan(score), 1, score))
            numbers = np.column_stack([points, score]).ravel().tolist()
            track = UNTRACKED if one.track is None else ids[one.track.name]
            people.add(
                f"frame {frame.frame_idx}, instance {number}",
                frame.frame_idx,
                numbers,
                PersonAttributes(track_id=track),
            )
    poses = people.poses(keypoint_order(path, names, len(names)))[0] if len(people) else {}
    tracked = any((each.track_id != UNTRACKED).any() for each in poses.values())
    return PoseFile(path, "slp", frames, poses, tracked=tracked, people=given_names(ids))


def _frames(path: Path, labels: Labels) -> tuple[FrameRef, ...]:
    """Return all frames of the video up to the last that is labelled.

    Raises:
        InputError: There are too many.
    """
    shape = labels.videos[0].shape if labels.videos else None
    last = max((frame.frame_idx for frame in labels), default=-1)
    if last >= MAX_FRAMES:
        raise InputError(f"{path}: damaged (labels of frame {last}); save it again in SLEAP")
    size_wh = None if shape is None else (int(shape[2]), int(shape[1]))
    return tuple(FrameRef(index, index, size_wh=size_wh) for index in range(last + 1))
