"""The names that programs may use: shown, documented, and imported only when they are used."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys

import pytest

import tposecli

NAMES = [name for name in tposecli.__all__ if name != "__version__"]


def test_dir_shows_the_public_names_and_nothing_else() -> None:
    shown = [name for name in dir(tposecli) if not name.startswith("_")]
    assert shown == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(tposecli, name)
    assert len(inspect.getdoc(value) or "") > 20
    if inspect.isfunction(value):
        assert set(inspect.signature(value).parameters) <= {
            word.strip("*: ") for word in (value.__doc__ or "").replace("\n", " ").replace(":", ": ").split(" ")
        }


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'pose'"):
        tposecli.pose  # noqa: B018
    with pytest.raises(ImportError):
        from tposecli import nothing  # type: ignore[attr-defined]  # noqa: F401


def test_help_shows_the_surface() -> None:
    text = pydoc.plain(pydoc.render_doc(tposecli))
    assert "Pose().image(" in text and "class Pose(" in text and "to_dataframe(" in text and "class Session(" in text


def test_import_loads_nothing_heavy() -> None:
    script = (
        "import sys, tposecli; dir(tposecli); tposecli.__version__\n"
        "heavy = {'torch', 'cv2', 'av', 'scipy', 'numpy', 'PIL', 'matplotlib', 'pandas', 'click'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_module_can_be_run() -> None:
    made = subprocess.run([sys.executable, "-m", "tposecli", "--version"], check=True, capture_output=True, text=True)
    assert tposecli.__version__ in made.stdout
