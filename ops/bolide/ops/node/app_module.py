"""Find the app that ``MODULE:APP`` names."""

import difflib
import importlib
import pkgutil
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from bolide.core.errors import BolideError
from bolide.ops.node.place import shown_file
from bolide.server.app import App

__all__ = ["AppNotFound", "load_app"]


class AppNotFound(BolideError):
    """There is no app to run; the text says why in one line, ``__cause__`` is what was raised."""

    code = "app-not-found"


def load_app(name: str, folder: Path) -> App:
    """Import a module and return its app.

    Args:
        name: ``module:attribute``, such as ``ward.app:app``.
        folder: Where the module is looked for first; it stays on the module search path.

    Raises:
        AppNotFound: If there is none. If the module raised an error, the text tells file and line.
    """
    module_name, separator, attribute = name.partition(":")
    if not (separator and module_name and attribute):
        raise AppNotFound(f"{name!r} is no MODULE:APP; write for instance ward.app:app.")
    if module_name.endswith(".py"):
        meant = module_name.removesuffix(".py").replace("/", ".")
        raise AppNotFound(f"{name!r} names a file, not a module; did you mean {meant}:{attribute}?")
    path = str(folder.resolve())
    if path not in sys.path:
        sys.path.insert(0, path)
    return _app_in(_import(module_name, folder), attribute)


def _import(name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise AppNotFound(_no_module(error.name, folder)) from error
        raise AppNotFound(_broken(name, error, folder)) from error
    # Whatever the developer's module raises, even SystemExit, is the developer's to read.
    except (Exception, SystemExit) as error:
        raise AppNotFound(_broken(name, error, folder)) from error


def _no_module(missing: str, folder: Path) -> str:
    package, _, last = missing.rpartition(".")
    places = [str(folder)]
    if package:
        # Below a module that is no package there is nothing to look through.
        places = [str(place) for place in getattr(sys.modules[package], "__path__", ())]
    near = _nearest(last, (module.name for module in pkgutil.iter_modules(places)))
    wanted = "" if near is None else ".".join(filter(None, (package, near)))
    hint = f"did you mean {wanted}?" if wanted else "is --app-dir the folder that holds it?"
    return f"There is no module {missing} in {folder.resolve()}; {hint}"


def _broken(name: str, error: BaseException, folder: Path) -> str:
    """Say what a module raised, and where in the developer's own code."""
    what = "; ".join(str(error).splitlines()[:1])
    if isinstance(error, SyntaxError):
        what, file, line = error.msg, error.filename, error.lineno
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder.resolve())]
        where = (own or frames)[-1]
        file, line = where.filename, where.lineno
    text = f"{name} cannot be imported: {type(error).__name__}{f': {what}' if what else ''}"
    return f"{text} ({shown_file(file or name)}, line {line})"


def _app_in(module: ModuleType, attribute: str) -> App:
    found = getattr(module, attribute, None)
    if isinstance(found, App):
        return found
    apps = [name for name, value in vars(module).items() if isinstance(value, App)]
    near = _nearest(attribute, apps) or next(iter(apps), None)
    hint = (
        f"did you mean {module.__name__}:{near}?"
        if near
        else f"{module.__name__} has no App at all; write app = App() in it."
    )
    if hasattr(module, attribute):
        kind = type(found).__name__
        raise AppNotFound(f"{module.__name__}:{attribute} is no App but a {kind}; {hint}")
    raise AppNotFound(f"{module.__name__} has no {attribute!r}; {hint}")


def _nearest(name: str, candidates: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, list(candidates), n=1)), None)
