"""``manage.py demo``: servers, mail, web and workers in one command, with a view of what happens."""
