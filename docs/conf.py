"""The site: Sphinx with furo and myst-nb, from the Markdown of this folder, the notebooks, and the docstrings.

Nothing is fetched, neither here nor by a reader: `_extensions/addresses.py` looks through what was built.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # our extensions; the experiments, and lgn where it is not installed

import lgn  # noqa: E402

project = "lgn"
author = "the authors of lgn"
copyright = "the authors of lgn, Apache-2.0"
release = version = lgn.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "_extensions.mathml",
    "_extensions.api",
    "_extensions.gallery",
    "_extensions.names",
    "_extensions.notebooks",
]
exclude_patterns = ["_build", "_extensions", "conf.py", "imports.py", "**/.ipynb_checkpoints"]
highlight_language = "text"

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True

math_eqref_format = "({number})"
math_number_all = False
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "lgn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
