"""Where a function of the program failed."""

import traceback
from pathlib import PurePath

__all__ = ["raised_at"]


def raised_at(error: BaseException) -> str:
    """Tell type and line of an error in a function that we called.

    The text is left out, since it may hold data of a person.
    """
    frames = traceback.extract_tb(error.__traceback__)
    frame = frames[1] if len(frames) > 1 else frames[0]
    return f"{type(error).__name__} in {PurePath(frame.filename).name}, line {frame.lineno}"
