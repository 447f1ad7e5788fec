"""What can go wrong with the processes, each as one sentence that also says the way out."""

from pathlib import Path


class WorkersError(Exception):
    """Root of everything that the processes' own code raises; its text is one sentence for a person."""


class StackError(WorkersError):
    """Raised when the local servers cannot be had as asked."""


class WheelMissing(StackError):
    """Raised when this machine has no wheel of a server, or the wheel is not installed."""

    def __init__(self, program: str, distribution: str, reason: str) -> None:
        super().__init__(
            f"{program} cannot be started here: {reason}; set MONGO_URI and REDIS_URL to servers of your own, or start "
            "everything with 'docker compose up' (docker-compose.yml)."
        )
        self.program = program
        self.distribution = distribution


class LibraryMissing(StackError):
    """Raised when the loader does not find a shared library that a server needs."""

    def __init__(self, program: str, library: str, package: str | None) -> None:
        remedy = f"'apt-get install {package}'" if package else "the package of your system that ships it"
        super().__init__(
            f"{program} needs the shared library {library}, which this machine lacks: install it with {remedy}, or set "
            "MONGO_URI and REDIS_URL to servers of your own, or use docker-compose.yml."
        )
        self.library = library
        self.package = package


class PortBusy(StackError):
    """Raised when the port that was asked for by number is taken by another process."""

    def __init__(self, program: str, port: int) -> None:
        super().__init__(
            f"{program} cannot listen on port {port}, because another process already does: stop that one or choose "
            "another port."
        )
        self.port = port


class DirectoryLocked(StackError):
    """Raised when another running instance keeps its data in the same directory."""

    def __init__(self, directory: Path, owner: str) -> None:
        super().__init__(
            f"{directory} is in use by another running instance (process {owner}): stop that one first, or set "
            "LOCAL_DIR to another directory."
        )
        self.directory = directory
        self.owner = owner


class DirectoryUnusable(StackError):
    """Raised when a server's directory cannot be written, or its disk is full."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(f"{directory} cannot hold the local servers' data: {reason}; or set LOCAL_DIR elsewhere.")
        self.directory = directory


class ServerRefused(StackError):
    """Raised when a server ends or stays silent instead of starting; carries the end of its log."""

    def __init__(self, program: str, happened: str, log: Path, tail: str) -> None:
        super().__init__(f"{program} {happened}; the whole story is in {log}, which ends with: {tail or '(nothing)'}")
        self.log = log
        self.tail = tail


class ServerUnreachable(StackError):
    """Raised when a server that the settings name does not answer."""

    def __init__(self, variable: str, address: str, reason: str) -> None:
        super().__init__(
            f"{variable} names {address}, which does not answer ({reason}): start that server or correct the address, "
            f"or unset {variable} to use the one that comes with the project."
        )
        self.variable = variable


class ServerRefusesUs(StackError):
    """Raised when a server that the settings name answers, and refuses us until somebody acts."""

    def __init__(self, variable: str, address: str, told: str) -> None:
        super().__init__(f"{variable} names {address}: {told}.")
        self.variable = variable


class SupervisorError(WorkersError):
    """Raised when the processes cannot run together as asked; `fact` is what happened, without what follows."""

    def __init__(self, fact: str, consequence: str) -> None:
        super().__init__(f"{fact}{consequence}")
        self.fact = fact


class ProcessDied(SupervisorError):
    """Raised when a process that the others need ends by itself."""

    def __init__(self, name: str, returncode: int, log: Path) -> None:
        how = f"was ended by signal {-returncode}" if returncode < 0 else f"ended with exit code {returncode}"
        super().__init__(f"{name} {how}", f", so everything is stopped; its log is {log}.")
        self.name = name
        self.returncode = returncode
        self.log = log


class ProcessNotReady(SupervisorError):
    """Raised when a process does not become ready in its time."""

    def __init__(self, name: str, seconds: float, log: Path) -> None:
        super().__init__(f"{name} was not ready within {seconds:g} s", f"; its log is {log}.")
        self.name = name
        self.log = log
