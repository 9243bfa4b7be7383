"""The errors a user can meet, each with the exit code it ends in.

    SertError 1        also what the file system refuses: no permission, a name too long, a disk that is read-only
      ConfigError 3    a configuration that cannot be used: unknown key, wrong type, value out of range
      DataError 4      questions, paths or tables that cannot be used
      StudentError 5   a student that cannot be loaded or driven
      TeacherError 6   rationales that cannot be had
      EndpointError 7  an endpoint that refuses, fails or cannot be reached; the same command goes on later
      RunLockedError 8 another process writes to the same run folder
      DiskError 9      a disk that cannot be written
        DiskFullError 9  no room left
      NonFiniteError 10  a loss or gradient that is not a number
      BudgetError 11   the next call could pass the spending cap; the same command with a higher one goes on
      OutOfMemoryError 12  one example, or one question, is too much for the memory
      WorkerError 13   a process that does a part of the work dies again and again

Exit code 2 is a wrong command line (click's own), 130 and 143 are Ctrl-C and SIGTERM.
"""


class SertError(Exception):
    """A mistake the user can mend. The message says what was given, what is allowed and how to mend it."""

    exit_code = 1


class ConfigError(SertError):
    """A configuration that cannot be used."""

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
    """An endpoint refuses, fails or cannot be reached. What was answered is kept."""

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
    """The next call could pass the spending cap. What was answered is kept."""

    exit_code = 11


class OutOfMemoryError(SertError):
    """The smallest part of the work is too much for the memory of the device."""

    exit_code = 12


class WorkerError(SertError):
    """A process that does a part of the work died again and again. Finished work is kept."""

    exit_code = 13
