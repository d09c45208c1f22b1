"""Sphinx configuration. ``make docs`` builds HTML into ``docs/_build``; every warning is an error."""

from __future__ import annotations

import pleme_redis_django

project = "pleme-redis-django"
author = "the authors of pleme-redis-django"
project_copyright = f"{author}. MIT license"
release = version = pleme_redis_django.__version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

# Links such as retries.md#which-errors-are-retried work here and on a code host alike.
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = False
