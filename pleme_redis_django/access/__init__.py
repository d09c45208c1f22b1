"""Access: which products a user sees, and which values of a job a page shows. The project's hooks decide."""
