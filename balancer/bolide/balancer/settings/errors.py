"""What is wrong with a configuration: the file, the line, the setting and what to write instead."""

from typing import ClassVar

from bolide.core.errors import ConfigurationError

__all__ = ["FileRefused", "SettingRefused", "UnknownSetting"]


class SettingRefused(ConfigurationError):
    """A setting of a file has a value that cannot work, or none."""

    code: ClassVar[str] = "setting-refused"

    def __init__(
        self, file: str, line: int | None, option: str, value: object, expected: str
    ) -> None:
        """Keep where it stands.

        Args:
            file: Name of the file as the operator wrote it.
            line: Number from 1; None if it is nowhere.
            option: Name of the setting with its table, such as ``health.fall``.
            value: As it was written; None if it was not; ``"(hidden)"`` if it may hold a secret.
            expected: What would work, as the end of a sentence.
        """
        super().__init__(option, value, expected)
        self.file = file
        self.line = line

    def __str__(self) -> str:
        """Name file, line, setting, value, and what to write instead."""
        return f"{_place(self.file, self.line)}: {super().__str__()}"


class FileRefused(SettingRefused):
    """The file or one of its lines is none of settings; what stands there may be a secret."""

    code: ClassVar[str] = "file-refused"

    def __init__(self, file: str, line: int | None, expected: str) -> None:
        """Keep where.

        Args:
            file: Name of the file as the operator wrote it.
            line: Number from 1; None if it is the whole file.
            expected: What would work, as the end of a sentence.
        """
        super().__init__(file, line, "This line" if line else "This", "(hidden)", expected)

    def __str__(self) -> str:
        """Name the file and the line, and what to write instead."""
        return f"{_place(self.file, self.line)}: {self.option} must be {self.expected}."


class UnknownSetting(SettingRefused):
    """A name that is no setting; a slip of the pen would go unnoticed otherwise."""

    code: ClassVar[str] = "unknown-setting"

    def __init__(self, file: str, line: int | None, option: str, nearest: str | None) -> None:
        """Keep the name.

        Args:
            file: Name of the file as the operator wrote it.
            line: Number from 1.
            option: As the operator wrote it, with its table.
            nearest: What was probably meant, with its table; None if nothing is near.
        """
        super().__init__(file, line, option, None, nearest or "a setting")
        self.nearest = nearest

    def __str__(self) -> str:
        """Say what was probably meant."""
        said = f"{_place(self.file, self.line)}: {self.option} is no setting of a balancer"
        if self.nearest is None:
            return f"{said}; docs/reference/balancer.md lists them."
        return f"{said}: did you mean {self.nearest}?"


def _place(file: str, line: int | None) -> str:
    return file if line is None else f"{file}, line {line}"
