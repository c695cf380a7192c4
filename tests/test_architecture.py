"""A module imports only from floors below its own, and nothing imports in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from tests import REPOSITORY

PACKAGE = REPOSITORY / "tposecli"

DRAWING = ("draw", "strokes", "trails", "veil", "plate")
FLOORS = {
    0: ["tposecli", "types", "errors", "skeleton", "prefetch", "files", "signals", "timings", "machine", "kernels"],
    1: ["crop", "fetch", "heatmap", "similarity", "synth", "warp"],
    2: ["models", "data", "lane"],
    3: ["source", "detect", "pose", "track", "smooth", "repair", "explain", "overlay", *DRAWING],
    4: ["sinks", "claim", "provenance", "figure"],
    5: [
        "pipeline",
        "job",
        "outputs",
        "exports",
        "follow",
        "readers",
        "replay",
        "score",
        "resume",
        "runner",
        "evaluate",
        "bench",
        "explainer",
        "exporter",
        "validate",
        "doctor",
    ],
    6: ["api", "train"],
    7: ["cli"],
}
COMMANDS = [
    *("attention", "bench", "convert", "data", "doctor", "eval", "export", "images", "models"),
    *("render", "sample-media", "score", "train", "train-detector", "validate", "video", "weights"),
]
FLOOR_OF = {
    f"tposecli.{name}" if name != "tposecli" else name: floor for floor, names in FLOORS.items() for name in names
}
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def room(module: str) -> str:
    """The module or package of the table above that this one belongs to."""
    return ".".join(module.split(".")[:2])


def imports(module: str) -> set[str]:
    """Modules of the package that this one imports when it is itself imported."""
    found: set[str] = set()
    for node in top_level(ast.parse(MODULES[module].read_text()).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return {name for name in found if name in MODULES} - {module}


def top_level(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements that run at import, those only for type checkers left out."""
    found: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.unparse(node.test):
                found += top_level(node.body) + top_level(node.orelse)
        else:
            found.append(node)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_down(module: str) -> None:
    assert room(module) in FLOOR_OF, f"{module} has no floor; give it one"
    for target in imports(module) - {"tposecli"}:
        if room(target) != room(module):
            assert FLOOR_OF[room(target)] <= FLOOR_OF[room(module)], f"{module} imports {target} from a floor above"


def test_no_circles() -> None:
    TopologicalSorter({module: imports(module) for module in MODULES}).prepare()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command: str) -> None:
    script = (
        "import sys; from tposecli.cli.main import cli\n"
        f"cli({[*command.split(), '--help']!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'cv2', 'av', 'scipy', 'rich', 'torchvision', 'ultralytics', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_every_command_is_looked_at() -> None:
    from tposecli.cli.main import cli

    assert sorted(cli.commands) == COMMANDS
