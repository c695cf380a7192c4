"""Settings of Sphinx; ``sphinx-build -W tposecli/docs tposecli/docs/_site`` builds the site.

The pages of the commands are written into ``reference/commands`` first, from the commands themselves.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tposecli.cli.reference import write_pages  # noqa: E402
from tposecli.utils.version import __version__  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "tpose"
author = "the tposecli authors"
copyright = author
version = release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_site"]
myst_enable_extensions = ["deflist", "fieldlist", "attrs_inline"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
napoleon_use_ivar = True
html_theme = "furo"
html_title = f"tpose {release}"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
# Two hyphens before an option stay two hyphens.
smartquotes = False


def setup(app: Sphinx) -> None:
    """Write the pages of the commands before Sphinx looks for pages."""
    app.connect("builder-inited", lambda _: write_pages(HERE / "reference" / "commands"))
