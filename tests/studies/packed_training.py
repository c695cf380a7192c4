"""Pack people as JPEG, and train on them for some minutes, usually on a GPU that is at hand for a short time.

    python -m tests.studies.packed_training pack --data ann.json:photos --data more.json:photos:1:even -o packs/train
    python -m tests.studies.packed_training pack --data ann.json:photos:1:odd -o packs/val
    python -m tests.studies.packed_training train packs/train/*.npz --check packs/val/*.npz -o runs/s --minutes 9

Files have at most 30 MB each. Training needs them, the code and the bundled weights only; it validates and writes a
checkpoint every minute, stops after the step in hand on SIGTERM, and goes on with ``--resume``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tposecli.lab.training.data_sources import ReadOptions, read_sources
from tposecli.lab.training.packed.pack import STORED_HW, write_packs
from tposecli.lab.training.packed.run import PackedJob, train_packed


def pack(data: list[str], out: Path) -> None:
    """Write the people of some COCO keypoint files as packs."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "read.json"
        options = ReadOptions(Path("data/coco"), out / "rendered", STORED_HW[::-1], record, 0.0, False)
        _, sources = read_sources(data, options, say)
    for path in write_packs((person for source in sources for person in source.people), out):
        say(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing, training = commands.add_parser("pack"), commands.add_parser("train")
    packing.add_argument("--data", action="append", required=True, help="as of tpose train")
    for command in (packing, training):
        command.add_argument("-o", "--output", type=Path, required=True)
    training.add_argument("packs", nargs="+", type=Path)
    training.add_argument("--check", nargs="+", type=Path, default=[])
    training.add_argument("--model", default=PackedJob.model)
    training.add_argument("--teacher", default=PackedJob.teacher, help="none for labels only")
    training.add_argument("--init", type=Path)
    training.add_argument("--minutes", type=float, default=PackedJob.minutes)
    training.add_argument("--batch-size", type=int, default=PackedJob.batch)
    training.add_argument("--device", default=PackedJob.device)
    training.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    if given.command == "pack":
        pack(given.data, given.output)
        return
    teacher = None if given.teacher == "none" else given.teacher
    job = PackedJob(
        given.packs, given.check, given.output, given.model, teacher, given.init, given.minutes,
        batch=given.batch_size, device=given.device, resume=given.resume,
    )  # fmt: skip
    say(f"weights: {train_packed(job, say)}")


if __name__ == "__main__":
    main()
