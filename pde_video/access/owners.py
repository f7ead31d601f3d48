"""Who can have written a file or folder: one rule for everything that is trusted."""

import os
import stat


def why_not_ours(facts: os.stat_result, *, or_roots: bool = False) -> str | None:
    """Return why somebody other than this user, or with `or_roots` root, can have written what has these facts.

    None if nobody else can. Windows has other rules, and is not checked.
    """
    if not hasattr(os, "geteuid"):
        return None
    if facts.st_uid != os.geteuid() and not (or_roots and facts.st_uid == 0):
        return f"belongs to another user (number {facts.st_uid})"
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written by other users (its mode is {stat.S_IMODE(facts.st_mode):o})"
    return None
