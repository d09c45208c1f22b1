"""Sphinx configuration. ``make docs`` builds HTML into ``docs/_build``; every warning is an error."""

from __future__ import annotations

import django
from django.conf import settings

import pleme_redis_django

# The pages of docs/reference/api/ are made from docstrings, for which the models have to be importable.
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "pleme_redis_django"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    PLEME_REDIS={"URL": None},
    SECRET_KEY="only-for-the-docs",  # noqa: S106 - no secret
    USE_TZ=True,
)
django.setup()

project = "pleme-redis-django"
author = "the authors of pleme-redis-django"
project_copyright = f"{author}. MIT license"
release = version = pleme_redis_django.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True
# Types in signatures are other people's, or not on a page: the links of the text are what is looked after.
nitpick_ignore_regex = [("py:.*", ".*")]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

# Links such as retries.md#which-errors-are-retried work here and on a code host alike.
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = False
