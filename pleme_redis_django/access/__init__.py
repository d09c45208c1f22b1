"""Who may see what: the products of a user, and what pages show of a job. The project's own hooks decide."""
