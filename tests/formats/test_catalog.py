"""The table of pose file formats: what its rows promise, and that one row is all a new format needs."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from tests import REPOSITORY
from tposecli.cli.main import cli
from tposecli.formats.base import WriteOptions
from tposecli.formats.catalog import POSE_FORMATS, PoseFormat, option_formats, written_formats
from tposecli.geometry.keypoints import KeypointLayout
from tposecli.pipeline.job import Outputs, RunFlags
from tposecli.pipeline.outputs import check_outputs
from tposecli.utils.errors import UsageError

WRITING_COMMANDS = ("video", "images", "convert", "render")
OLD_JOURNAL = Path(__file__).with_name("old_journal.poses.jsonl")


def loaded(reference: str) -> object:
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("row", POSE_FORMATS, ids=lambda row: row.name)
def test_every_reference_can_be_imported(row: PoseFormat) -> None:
    references = [row.writer, row.exporter, row.reader, row.head_sniffer, row.json_sniffer]
    assert all(callable(loaded(reference)) for reference in references if reference)
    assert not (row.writer and row.exporter) and bool(row.writer or row.exporter) == bool(row.help)
    assert row.writer or not row.option
    assert row.reader or not (row.head_sniffer or row.json_sniffer)


def test_names_and_options_are_unique() -> None:
    names, options = [row.name for row in POSE_FORMATS], [row.option for row in option_formats()]
    assert len(set(names)) == len(names)
    assert len(set(options)) == len(options)


@pytest.mark.parametrize("command", WRITING_COMMANDS)
def test_every_writing_command_has_every_format(command: str) -> None:
    options = {name for option in cli.commands[command].params for name in option.opts}
    assert options >= {row.option for row in option_formats()}
    assert options >= {f"{row.option}-format" for row in option_formats() if row.variants}


@pytest.mark.parametrize("command", ["convert", "render", "score"])
def test_every_reading_command_names_every_readable_format(command: str) -> None:
    option = next(param for param in cli.commands[command].params if "--from" in param.opts)
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == [row.name for row in POSE_FORMATS if row.reader]


@pytest.mark.parametrize("row", [row for row in written_formats() if not row.to_stdout], ids=lambda row: row.name)
def test_formats_that_cannot_go_to_standard_output_are_refused(row: PoseFormat) -> None:
    with pytest.raises(UsageError, match="only videos, --json and --csv can go to standard output"):
        check_outputs(Outputs(poses={row.name: Path("-")}), None, RunFlags(), journal=False)


def test_coco_only_formats_refuse_other_keypoints(tmp_path: Path) -> None:
    layout = KeypointLayout(("a", "b"), ((0, 1),), (1, 0), (0.1, 0.1))
    refused = []
    for row in written_formats():
        try:
            row.open_sink(tmp_path / row.name, WriteOptions(layout.to_dict())).close(complete=False)
        except UsageError as error:
            assert row.title in str(error)
            refused.append(row)
    assert refused == [row for row in written_formats() if row.coco_only]


def test_unknown_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown pose file formats: cvs"):
        Outputs(poses={"cvs": tmp_path / "o.csv"})


ROW = """
import sys
from tposecli.formats import catalog

row = catalog.PoseFormat(
    "counts", "--counts", "People per frame.", ".counts", variants=("plain", "fancy"),
    writer="tests.formats.made_up:open_counts", reader="tests.formats.made_up:read_counts",
    head_sniffer="tests.formats.made_up:is_counts",
)
catalog.POSE_FORMATS = (*catalog.POSE_FORMATS, row)
from tposecli.cli.main import main
main()
"""


def with_row(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``tpose`` with one more row in the table."""
    words = [str(argument) for argument in arguments]
    return subprocess.run([sys.executable, "-c", ROW, *words], capture_output=True, text=True, cwd=REPOSITORY)


def test_one_row_adds_a_format(tmp_path: Path) -> None:
    help_text = with_row("convert", "--help-all").stdout
    assert "--counts" in help_text and "People per frame." in help_text and "[plain|fancy]" in help_text
    path = tmp_path / "o.counts"
    ran = with_row("convert", OLD_JOURNAL, "--counts", path)
    assert ran.returncode == 0, ran.stderr
    assert path.read_bytes().startswith(b"people per frame\n1\n")
    refused = with_row("convert", OLD_JOURNAL, "--counts", path)
    assert refused.returncode == 2 and "--overwrite" in refused.stderr
    refused = with_row("convert", OLD_JOURNAL, "--counts", "-")
    assert refused.returncode == 2 and "standard output" in refused.stderr
    assert with_row("convert", path, "--csv", tmp_path / "read.csv").returncode == 0
    assert (tmp_path / "read.csv").read_text().startswith("frame,")
    assert with_row("convert", path, "--from", "counts", "--npz", tmp_path / "read.npz").returncode == 0
