"""The exceptions of the backport under the names that Django gave them."""

from django_tasks.exceptions import InvalidTaskBackendError as InvalidTaskBackend
from django_tasks.exceptions import InvalidTaskError as InvalidTask
from django_tasks.exceptions import TaskResultDoesNotExist, TaskResultMismatch

__all__ = ["InvalidTask", "InvalidTaskBackend", "TaskResultDoesNotExist", "TaskResultMismatch"]
