"""What workers of a cluster under test do differently: die of inputs, miss folders, have full disks, or seem older."""

import os
import sys


def _die_of_poison(event: str, arguments: tuple[object, ...]) -> None:
    """Crash where a file of that name is opened, as a damaged file may crash a decoder."""
    if event == "open" and str(arguments[0]).endswith("poison.mp4"):
        os.abort()


if os.environ.get("TPOSE_TEST_POISON"):
    sys.addaudithook(_die_of_poison)

if os.environ.get("TPOSE_TEST_HIDDEN"):
    import pathlib

    _is_dir = pathlib.Path.is_dir
    # A disk that other nodes share has folders that this one does not see.
    pathlib.Path.is_dir = lambda path, **how: path.name != os.environ["TPOSE_TEST_HIDDEN"] and _is_dir(path, **how)

if os.environ.get("TPOSE_TEST_FULL"):
    import resource

    # Files that grow beyond that cannot be written, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["TPOSE_TEST_FULL"]),) * 2)

if os.environ.get("TPOSE_TEST_VERSION"):
    import tposecli.utils.version

    tposecli.utils.version.__version__ = os.environ["TPOSE_TEST_VERSION"]
