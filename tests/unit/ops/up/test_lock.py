"""The folder of `bolide up` is one user's, and one run's."""

import os
from pathlib import Path

import pytest

from bolide.core.errors import ConfigurationError
from bolide.ops.up.up import locked


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "state"),
        pytest.raises(ConfigurationError, match="another `bolide up` runs there"),
        locked(tmp_path / "state"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65_534, 65_534)
    with (
        pytest.raises(ConfigurationError, match="a folder of your own"),
        locked(tmp_path),
    ):
        pass
