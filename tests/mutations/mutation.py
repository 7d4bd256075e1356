"""What a mutation is: one deliberate mistake, and the tests that must notice it."""

from dataclasses import dataclass

__all__ = ["ON_MEMORY", "ON_SQLITE", "Mutation"]

_MACHINE = "tests/property/live_core/test_live_core.py"
ON_MEMORY = (f"{_MACHINE}::test_views_are_right_at_rest_and_on_the_way[memory]",)
ON_SQLITE = (f"{_MACHINE}::test_views_are_right_at_rest_and_on_the_way[sqlite]",)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mistake.

    Attributes:
        name: For the table and the command line.
        path: The source file, from the root of the repository.
        before: What stands there, once.
        after: What is put in its place.
        breaks: Which promise is broken.
        tests: What is given to pytest; one of these tests must fail.
    """

    name: str
    path: str
    before: str
    after: str
    breaks: str
    tests: tuple[str, ...] = ON_MEMORY
