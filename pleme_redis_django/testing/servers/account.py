"""The user account and the folders a server gets: PostgreSQL refuses to run as root.

As root, servers run as an existing unprivileged user. Only folders that are made here are given to
it; the mode and the owner of everything else stay as they are.
"""

from __future__ import annotations

import dataclasses
import os
import pwd
import stat
import tempfile
from pathlib import Path
from typing import Any

from pleme_redis_django.exceptions import ServerUnavailable

UNPRIVILEGED_USER = "nobody"
SCRATCH_PREFIX = "pleme-"
# sun_path holds 108 bytes with its NUL on Linux, and 104 on BSD and macOS.
SOCKET_PATH_LIMIT_BYTES = 103
_LONGEST_SOCKET_NAME = f"/{SCRATCH_PREFIX}12345678/.s.PGSQL.65535"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user that a server runs as; ``uid`` None: the user of this process."""

    uid: int | None = None
    gid: int | None = None

    def popen_arguments(self) -> dict[str, Any]:
        """Return the arguments of subprocess.Popen that drop to this account (JSON-able)."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give ``path``, which the caller has just made, to this account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def unprivileged_account() -> Account:
    """Return this process's account, or ``nobody`` when it is root's.

    Raises ServerUnavailable when root finds no user named nobody.
    """
    if os.geteuid() != 0:
        return Account()
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError:
        raise ServerUnavailable(
            f"PostgreSQL refuses to run as root, and this system has no user {UNPRIVILEGED_USER!r} to drop "
            "to. Run as a normal user, or set DATABASE_URL to a running PostgreSQL."
        ) from None
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def make_scratch_folder(account: Account) -> Path:
    """Make a fresh folder that only ``account`` (and root) can enter, with room for a socket's path."""
    candidates = [Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108 - mkdtemp makes a fresh 0700 folder
    for parent in candidates:
        if _fits_sockets(parent) and (account.uid is None or is_open_to_everyone(parent)):
            folder = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=parent))
            account.own(folder)
            return folder
    raise ServerUnavailable(
        f"No folder for the servers' sockets and data: {' and '.join(map(str, candidates))} have too long "
        f"a path ({SOCKET_PATH_LIMIT_BYTES} bytes with a socket's name) or cannot be entered by the user "
        f"{UNPRIVILEGED_USER!r}. Set TMPDIR to a short, public path such as /tmp."
    )


def is_open_to_everyone(path: Path) -> bool:
    """Say whether every user may enter all folders above ``path``, and read and enter or execute it."""
    path = path.resolve()
    wanted = stat.S_IROTH | stat.S_IXOTH
    return path.stat().st_mode & wanted == wanted and all(
        parent.stat().st_mode & stat.S_IXOTH for parent in path.parents
    )


def _fits_sockets(parent: Path) -> bool:
    return len(os.fsencode(parent)) + len(_LONGEST_SOCKET_NAME) <= SOCKET_PATH_LIMIT_BYTES
