from pathlib import Path

import pytest

from bolide.server.stores.sqlite.filesystem import NETWORK_FILE_SYSTEMS, file_system_of, read_mounts

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:50 / /mnt/ward rw - nfs4 server:/export rw
41 22 0:51 / /mnt/ward/local rw - xfs /dev/sdb1 rw
42 22 0:52 / /mnt/two\040words rw - cifs //server/share rw
43 22 0:53 / /mnt/over rw - ext4 /dev/sdc1 rw
44 43 0:54 / /mnt/over rw - fuse.sshfs host: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/bolide.db", "ext4"),
        ("/mnt/ward/bolide.db", "nfs4"),
        ("/mnt/wardrobe/bolide.db", "ext4"),
        ("/mnt/ward/local/bolide.db", "xfs"),
        ("/mnt/two words/bolide.db", "cifs"),
        ("/mnt/over/bolide.db", "fuse.sshfs"),
    ],
)
def test_the_innermost_and_latest_mount_counts(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind


def test_without_a_list_of_mounts_nothing_is_known() -> None:
    assert file_system_of(Path("/var/lib/bolide.db"), "") is None


def test_the_list_is_empty_where_the_kernel_gives_none() -> None:
    assert read_mounts("/does/not/exist") == ""


def test_the_folder_of_the_tests_is_on_a_local_disk(tmp_path: Path) -> None:
    assert file_system_of(tmp_path.resolve(), read_mounts()) not in NETWORK_FILE_SYSTEMS
