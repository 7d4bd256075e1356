"""Where the demo finds the ward, and where it keeps it."""

from pathlib import Path

import pytest

from bolide.core.errors import ConfigurationError
from bolide.ops.demo import demo
from bolide.ops.demo.demo import examples_folder, store_url


def test_examples_are_those_of_the_checkout() -> None:
    assert (examples_folder() / "ward" / "page" / "index.html").is_file()


def test_installation_without_examples_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_PLACES", ())
    with pytest.raises(ConfigurationError, match="one with examples: install again"):
        examples_folder()


def test_folder_with_signs_of_urls_is_quoted(tmp_path: Path) -> None:
    assert store_url(tmp_path / "a b?") == f"sqlite:///{tmp_path}/a%20b%3F/ward.db"
