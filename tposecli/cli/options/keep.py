"""Options that tell people from what only looks like one. Nothing heavy is imported here."""

from __future__ import annotations

from cloup import option_group

from tposecli.cli.command import PEOPLE
from tposecli.cli.options.common import Options
from tposecli.cli.options.fields import option_of
from tposecli.pipeline.keep_options import MIN_JOINTS, MIN_PERSON, KeepOptions

keep_options = option_group(
    PEOPLE,
    option_of(
        KeepOptions,
        "min_person_score",
        "--min-person-score",
        metavar="P",
        help="Drop people who are less likely than this to be one.  "
        f"[{MIN_PERSON}, or 0 where scores are not calibrated]",
    ),
    option_of(
        KeepOptions,
        "min_joints",
        "--min-joints",
        metavar="N",
        help=f"Drop people with fewer good joints.  [{MIN_JOINTS}, or 0 where scores are not calibrated]",
    ),
)


def keep_of(options: Options) -> KeepOptions:
    """Return which people are kept."""
    return KeepOptions(options.get("min_person_score"), options.get("min_joints"))
