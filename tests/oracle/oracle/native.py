# SPDX-License-Identifier: GPL-2.0-only
"""Compiles native.c at its first use and loads it.

The library goes into the cache of the lab, named after what it was made from.
Without a compiler, or with DM_INTEGRITY_ORACLE_PURE=1, everything still works,
only slowly: lib() then returns None and the callers use their Python.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("native.c")
FLAGS = ["-O2", "-shared", "-fPIC", "-std=c99"]


def cache_dir():
    lab = os.environ.get("DM_INTEGRITY_LAB")
    if lab:
        return Path(lab)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "dm-integrity-lab"


def _build():
    key = SOURCE.read_bytes() + repr((FLAGS, platform.machine())).encode()
    path = cache_dir() / "oracle" / f"native-{hashlib.sha256(key).hexdigest()[:16]}.so"
    if path.exists():
        return path
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    # Into a file of its own first: two oracles may start at the same time.
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    try:
        subprocess.run([compiler, *FLAGS, "-o", name, str(SOURCE)], check=True)
        os.replace(name, path)
    finally:
        if os.path.exists(name):
            os.unlink(name)
    return path


@functools.cache
def lib():
    """The library, or None."""
    if os.environ.get("DM_INTEGRITY_ORACLE_PURE"):
        return None
    try:
        path = _build()
        loaded = ctypes.CDLL(str(path)) if path else None
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"integrity-oracle: no native code, going on slowly: {error}", file=sys.stderr)
        return None
    if loaded:
        size, ptr = ctypes.c_size_t, ctypes.c_void_p
        loaded.oracle_tags.argtypes = [ctypes.c_int, ctypes.c_uint64, ptr, size, ctypes.c_uint64,
                                       ctypes.c_uint, ptr, size, size, ptr, size]
        loaded.oracle_tags.restype = None
        loaded.oracle_aes.argtypes = [ctypes.c_int, ptr, size, ptr, ptr, size]
        loaded.oracle_aes.restype = None
        loaded.oracle_chacha20.argtypes = [ptr, ptr, ptr, size]
        loaded.oracle_chacha20.restype = None
    return loaded
