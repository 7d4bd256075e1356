from bolide.server.random_ids import random_id, random_seed


def test_ids_are_meteors_and_differ() -> None:
    ids = {random_id() for _ in range(100)}
    assert len(ids) == 100
    assert {len(id) for id in ids} == {17}
    assert not set("".join(ids)) & set("01IOUVl")


def test_seeds_differ() -> None:
    assert random_seed() != random_seed()
    assert len(random_seed()) == 40
