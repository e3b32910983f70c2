"""Files that are computed once: a per-user cache directory, hash names and atomic writes."""

import logging
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

__all__ = ["cache_dir", "cached_file", "write_atomic"]

_log = logging.getLogger(__name__)


@cache
def cache_dir() -> Path:
    """The directory for computed files: $ARMFLOW_CACHE, else the user's cache directory, else a temporary one."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    for choice in (os.environ.get("ARMFLOW_CACHE"), os.path.join(home, "armflow")):
        if choice and _is_writable(Path(choice)):
            return Path(choice).resolve()
    _log.warning("no cache directory can be written; results are computed anew in this process")
    return Path(tempfile.mkdtemp(prefix="armflow-"))


def _is_writable(path: Path) -> bool:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path):
            return True
    except OSError:
        return False


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that readers see either nothing or all of it, also with several processes writing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def cached_file(name: str, make: Callable[[], bytes]) -> Path:
    """Return the cached file of this name, made first if it is not there; the name must carry a hash of its inputs."""
    path = cache_dir() / name
    if not path.exists():
        write_atomic(path, make())
    return path
