"""The package for programs: from a picture, a folder or a video to results, tables, files and plots."""

from tposecli.api.export import draw, plot, save, to_dataframe
from tposecli.api.pose import Pose
from tposecli.api.results import PoseResult, Results
from tposecli.api.stream import run

__all__ = ["Pose", "PoseResult", "Results", "draw", "plot", "run", "save", "to_dataframe"]
