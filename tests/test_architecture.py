"""The packages have a strict order: each imports only from those before it, and nothing imports in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from tests import REPOSITORY

PACKAGE = REPOSITORY / "tposecli"

ORDER = (
    *("utils", "types", "geometry", "models", "hub", "sources", "tracking", "smoothing", "drawing"),
    *("inference", "detection", "sinks", "attention", "formats"),
    *("pipeline", "evaluation", "report", "api", "lab", "cli"),
)
"""From the ground up: what stands here may import only what stands before it, lazy imports included."""

MAX_ROOMS, MAX_LOOSE, MAX_ARROWS = 20, 6, 170
COMMANDS = [
    *("attention", "bench", "check", "completion", "convert", "data", "docs", "doctor", "edit"),
    *("eval", "export", "images", "join", "models", "plot", "render", "report", "sample-media", "score"),
    *("sheet", "status", "train", "train-detector", "validate", "video", "weights"),
]
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__main__.py" and PACKAGE / "docs" not in path.parents
}


def room(module: str) -> str:
    """Return the package or loose module of ``tposecli`` that a module belongs to; "" for ``tposecli`` itself."""
    return module.split(".")[1] if "." in module else ""


def imports(module: str) -> set[str]:
    """Return the modules of the package that this one imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return {name for name in found if name in MODULES} - {module}


def arrows() -> set[tuple[str, str]]:
    """Return who imports whom among the rooms, ``tposecli/__init__`` left out."""
    pairs = {(room(module), room(target)) for module in MODULES for target in imports(module)}
    return {(source, target) for source, target in pairs if source != target and source and target}


def test_every_room_has_a_place_in_the_order() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} == set(ORDER)
    loose = [name for name in ORDER if (PACKAGE / f"{name}.py").exists()]
    assert len(ORDER) <= MAX_ROOMS and len(loose) <= MAX_LOOSE


def test_arrows_point_down() -> None:
    up = [(source, target) for source, target in arrows() if ORDER.index(source) <= ORDER.index(target)]
    assert not up
    assert len(arrows()) <= MAX_ARROWS


def test_threads_and_processes_live_in_one_module_each() -> None:
    starters = {"threading", "concurrent", "_thread", "multiprocessing"}
    found = set()
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if starters & {name.split(".")[0] for name in names}:
                found.add(module)
    assert found == {"tposecli.utils.threads", "tposecli.utils.processes"}


def test_nets_are_plain() -> None:
    used = {target for module in MODULES if room(module) == "models" for target in imports(module)}
    assert {room(target) for target in used} <= {"models", "utils", "types"}


def test_no_circles() -> None:
    TopologicalSorter({module: imports(module) for module in MODULES}).prepare()


def test_nobody_below_needs_what_is_for_measuring_and_training() -> None:
    assert {source for source, target in arrows() if target == "lab"} <= {"cli"}


def test_a_cluster_only_places_jobs() -> None:
    """It uses the public session, and nothing besides the command line knows of it."""
    cluster = {module for module in MODULES if module.startswith("tposecli.pipeline.cluster")}
    users = {module for module in MODULES if imports(module) & cluster} - cluster
    assert {room(module) for module in users} == {"cli"}
    used = {target for module in cluster for target in imports(module)} - cluster
    assert "tposecli.pipeline.session" in used
    assert not used & {f"tposecli.pipeline.{name}" for name in ("run", "stream", "postprocess", "rerun", "staging")}


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
