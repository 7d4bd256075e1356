"""On which line each key stands."""

import tomllib

from bolide.balancer.settings.places import lines_of_keys

TEXT = '''# a comment
cluster = "ward"
listen = [
    "0.0.0.0:443",  # a comment
    "[::]:443",
]
"quoted name" = 1
a.b = 2

[[certificate]]
chain = "a"
[[certificate]]
chain = "b"
key = """
[not.a.table]
x = 1
"""

[nodes]
static = [
    { name = "a" },
    { name = "b", weight = 2 },
]
[nodes.tls]
ca = 'c'
[[pools.members]]
x = 1
[pools.members.tls]
y = 1
[[pools.members]]
[pools.members.tls]
y = 2
'''


def test_each_key_has_the_line_where_its_statement_begins() -> None:
    lines = lines_of_keys(TEXT)
    assert lines[("cluster",)] == 2
    assert lines[("listen",)] == lines[("listen", 1)] == 3
    assert lines[("quoted name",)] == 7
    assert lines[("a",)] == lines[("a", "b")] == 8
    assert lines[("certificate",)] == lines[("certificate", 0)] == 10
    assert lines[("certificate", 0, "chain")] == 11
    assert lines[("certificate", 1)] == 12
    assert lines[("certificate", 1, "chain")] == 13
    assert lines[("certificate", 1, "key")] == 14
    assert lines[("nodes", "static", 1, "weight")] == 20
    assert lines[("nodes", "tls")] == 24
    assert lines[("nodes", "tls", "ca")] == 25
    assert lines[("pools", "members", 0, "tls", "y")] == 29
    assert lines[("pools", "members", 1, "tls", "y")] == 32


def test_every_key_that_toml_finds_is_there() -> None:
    def paths(value: object, path: tuple[str | int, ...]) -> set[tuple[str | int, ...]]:
        inner: dict[str | int, object] = {}
        if isinstance(value, dict):
            inner = dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        elif isinstance(value, list):
            inner = dict(enumerate(value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        return {path}.union(*(paths(item, (*path, key)) for key, item in inner.items()))

    assert paths(tomllib.loads(TEXT), ()) == lines_of_keys(TEXT).keys() | {()}


def test_lines_end_as_toml_says_and_not_as_unicode_does() -> None:
    text = '# one\u2028still one\r\na = "x\u0085y"\r\nb = 1\r\n'
    assert lines_of_keys(text) == {("a",): 2, ("b",): 3}
