"""What the workers of a cluster under test do differently: they die of some inputs, or pretend to be older."""

import os
import sys


def _die_of_poison(event: str, arguments: tuple[object, ...]) -> None:
    """Crash where a file of that name is opened, as a damaged file may crash a decoder."""
    if event == "open" and str(arguments[0]).endswith("poison.mp4"):
        os.abort()


if os.environ.get("TPOSE_TEST_POISON"):
    sys.addaudithook(_die_of_poison)

if os.environ.get("TPOSE_TEST_VERSION"):
    import tposecli.utils.version

    tposecli.utils.version.__version__ = os.environ["TPOSE_TEST_VERSION"]
