"""Settings of Sphinx, by which `make docs` makes the documentation as HTML.

The pages need no network: the theme's fonts are those of the reader's system.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from smalti import __version__

project = "smalti"
author = "The smalti authors"
project_copyright = "2026, the smalti contributors"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxarg.ext"]
extensions += ["reference_pages"]
exclude_patterns = ["pictures"]
myst_enable_extensions = ["attrs_inline", "deflist"]
myst_heading_anchors = 5
napoleon_use_rtype = False
default_role = "literal"  # docstrings write names as `name`
autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "exclude-members": "model_config",
}
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = f"smalti {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
