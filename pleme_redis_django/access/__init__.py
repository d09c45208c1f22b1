"""Access: the products that a user sees, and the values of a job that a page shows. The project's hooks decide."""
