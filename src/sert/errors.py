"""The errors a user can meet, each with the exit code it ends in.

Exit code 1 is also what the file system refuses (no permission, a name too long, a disk that is read-only), 2 is a
wrong command line (click's own), 130 and 143 are Ctrl-C and SIGTERM.
"""


class SertError(Exception):
    """A mistake the user can mend. The message says what was given, what is allowed and how to mend it."""

    exit_code = 1


class ConfigError(SertError):
    """A configuration that cannot be used: unknown key, wrong type, value out of range."""

    exit_code = 3


class DataError(SertError):
    """Questions, paths or tables that cannot be used."""

    exit_code = 4


class StudentError(SertError):
    """A student that cannot be loaded or driven."""

    exit_code = 5


class TeacherError(SertError):
    """Rationales that cannot be had."""

    exit_code = 6


class EndpointError(SertError):
    """An endpoint refuses, fails or cannot be reached. What was answered is kept; the same command goes on later."""

    exit_code = 7


class RunLockedError(SertError):
    """Another process writes to the same run folder."""

    exit_code = 8


class DiskError(SertError):
    """A disk cannot be written. Finished work is kept."""

    exit_code = 9


class DiskFullError(DiskError):
    """No room is left. Finished work is kept."""


class NonFiniteError(SertError):
    """A loss or gradient is not a finite number; the step was not applied."""

    exit_code = 10


class BudgetError(SertError):
    """The next call could pass the spending cap. What was answered is kept; with a higher cap it goes on."""

    exit_code = 11


class OutOfMemoryError(SertError):
    """The smallest part of the work, one example or one question, is too much for the memory of the device."""

    exit_code = 12


class WorkerError(SertError):
    """A process that does a part of the work died again and again. Finished work is kept."""

    exit_code = 13
