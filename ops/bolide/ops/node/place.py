"""The place in a developer's own code where an exception came from."""

import sysconfig
import traceback
from pathlib import Path
from typing import Final

__all__ = ["own_place", "shown_file"]

# Where Python and what is installed lie; a virtual environment may be inside the app's folder.
_OTHERS: Final = tuple(
    Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def own_place(error: BaseException) -> str:
    """Say where an exception was raised, as ``ward/app.py, line 12``.

    Of all frames it is the last one that belongs neither to Bolide nor to Python nor to an
    installed package, or the innermost if there is none.

    Args:
        error: Was caught, so that it has a traceback.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [
        (frame, line)
        for frame, line in frames
        if not str(frame.f_globals.get("__name__", "")).startswith("bolide.")
        and not any(map(Path(frame.f_code.co_filename).is_relative_to, _OTHERS))
    ]
    frame, line = (own or frames)[-1]
    return f"{shown_file(frame.f_code.co_filename)}, line {line}"


def shown_file(file: str) -> str:
    """Write the path of a file, relative if it is below the working directory.

    Args:
        file: As Python names it.
    """
    here = Path.cwd()
    path = Path(file)
    return str(path.relative_to(here)) if path.is_relative_to(here) else file
