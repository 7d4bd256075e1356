"""The affinity cookie: what is ours brings a client back, all else is as if it were not there."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolide.balancer.affinity.affinity import Affinity

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
NOW = 1_800_000_000.0
MAX_AGE_S = 600


class Wall:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def make_affinity(
    *keys: bytes, cluster: str = "ward", wall: Wall | None = None, max_age_s: int = MAX_AGE_S
) -> Affinity:
    return Affinity(cluster, keys or (KEY,), max_age_s=max_age_s, wall_s=wall or Wall())


def value_of(line: bytes) -> bytes:
    return line.removeprefix(b"Set-Cookie: __Host-bolide_lb=").partition(b";")[0]


def seal(node: str, affinity: Affinity | None = None) -> bytes:
    return value_of((affinity or make_affinity()).set_cookie(node))


def test_the_line_is_a_cookie_for_one_host_over_tls_that_no_script_reads() -> None:
    affinity = make_affinity()
    line = affinity.set_cookie("node-a")
    value = value_of(line)
    assert affinity.name == b"__Host-bolide_lb"
    assert line == (
        b"Set-Cookie: __Host-bolide_lb=" + value + b"; Path=/; Secure; HttpOnly; SameSite=Lax;"
        b" Max-Age=600\r\n"
    )
    assert value.replace(b"-", b"").replace(b"_", b"").isalnum()


@pytest.mark.parametrize("node", ["a", "node-7", "n" * 64, "\u017e-node"])
def test_a_sealed_cookie_names_its_node(node: str) -> None:
    assert make_affinity().open(seal(node)) == node


def test_the_value_tells_neither_the_node_nor_the_length_of_its_name() -> None:
    short, long = seal("a"), seal("a-longer-name")
    assert len(short) == len(long)
    assert b"longer" not in urlsafe_b64decode(long + b"==")


def test_it_is_sealed_anew_each_second_and_not_for_each_client() -> None:
    wall = Wall()
    affinity = make_affinity(wall=wall)
    first = affinity.set_cookie("a")
    assert affinity.set_cookie("a") == first
    assert affinity.set_cookie("b") != first
    wall.now += 1
    assert affinity.set_cookie("a") != first


def test_one_that_a_former_key_sealed_is_replaced() -> None:
    affinity = make_affinity(OTHER_KEY, KEY)
    old, new = seal("a", make_affinity(KEY)), seal("a", affinity)
    assert (affinity.open(old), affinity.open(new)) == ("a", "a")
    assert affinity.wants_renewal(old)
    assert not affinity.wants_renewal(new)


def test_one_is_replaced_when_the_half_of_its_time_is_over() -> None:
    wall = Wall()
    affinity = make_affinity(wall=wall)
    value = seal("a", affinity)
    wall.now += MAX_AGE_S / 2
    assert affinity.open(value) == "a"
    assert not affinity.wants_renewal(value)
    wall.now += 1
    assert affinity.wants_renewal(value)


def test_what_is_not_ours_is_not_replaced() -> None:
    affinity = make_affinity()
    assert affinity.open(b"x" * 40) is None
    assert not affinity.wants_renewal(b"x" * 40)


def test_it_ends_to_hold_also_where_it_was_opened_before() -> None:
    wall = Wall()
    affinity = make_affinity(wall=wall)
    value = seal("a", affinity)
    wall.now += MAX_AGE_S - 1
    assert affinity.open(value) == "a"
    wall.now += 1
    assert affinity.open(value) is None
    assert make_affinity(wall=wall).open(value) is None


def test_the_first_key_seals_and_all_open() -> None:
    old = seal("a", make_affinity(KEY))
    rotated = make_affinity(OTHER_KEY, KEY)
    assert rotated.open(old) == "a"
    new = seal("a", rotated)
    assert make_affinity(OTHER_KEY).open(new) == "a"
    assert make_affinity(KEY).open(new) is None
    assert make_affinity(OTHER_KEY).open(old) is None


def test_another_cluster_with_the_same_key_does_not_open_it() -> None:
    assert make_affinity(cluster="other").open(seal("a")) is None


def test_every_changed_byte_makes_it_foreign() -> None:
    raw = urlsafe_b64decode(seal("a") + b"==")
    affinity = make_affinity()
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        assert affinity.open(urlsafe_b64encode(changed).rstrip(b"=")) is None


def test_every_cut_makes_it_foreign() -> None:
    value = seal("a")
    affinity = make_affinity()
    assert all(affinity.open(value[:length]) is None for length in range(len(value)))


@pytest.mark.parametrize(
    "value", [b"", b"a", b"=", b"====", b"a b", b"\xff\xfe", b"node-a", b"A" * 100_000, b"AQ;=\r\n"]
)
def test_rubbish_names_no_node(value: bytes) -> None:
    assert make_affinity().open(value) is None


@given(st.binary(max_size=200))
def test_no_bytes_are_an_error(value: bytes) -> None:
    assert make_affinity().open(value) is None
    assert make_affinity().open(urlsafe_b64encode(value)) is None


def test_values_that_were_opened_are_kept_within_bounds_and_others_are_not() -> None:
    wall = Wall()
    affinity = make_affinity(wall=wall, max_age_s=100_000)
    values: list[bytes] = []
    for _ in range(1100):
        wall.now += 1
        values.append(seal("a", affinity))
        assert affinity.open(values[-1]) == "a"
        assert affinity.open(b"rubbish%d" % len(values)) is None
    assert all(affinity.open(value) == "a" for value in values)
    assert len(affinity._known) == 1024  # pyright: ignore[reportPrivateUsage]


def test_without_keys_there_is_no_affinity() -> None:
    affinity = Affinity("ward", (), max_age_s=60, wall_s=Wall())
    assert affinity.set_cookie("a") == b""
    assert affinity.open(seal("a")) is None


def test_a_key_of_another_length_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="32 bytes") as caught:
        make_affinity(b"secret")
    assert "secret" not in str(caught.value)
