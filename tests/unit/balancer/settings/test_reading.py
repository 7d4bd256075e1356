"""``balancer.toml``: what is good is read, what is not is told with its line and the remedy."""

import base64
import os
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from tests.certificates import Authority

from bolide.balancer.health.health import HealthRules
from bolide.balancer.members.address import Address
from bolide.balancer.members.member import Member
from bolide.balancer.settings.errors import FileRefused, SettingRefused, UnknownSetting
from bolide.balancer.settings.files import make_key
from bolide.balancer.settings.reading import SECTIONS, read_settings
from bolide.balancer.settings.settings import (
    AffinitySettings,
    BalancerSettings,
    DNSName,
    HealthSettings,
    NodesSettings,
    NodeTLSSettings,
)
from bolide.balancer.worker.messages import Limits, ServerCertificate
from bolide.core.errors import ConfigurationError

BASE = """cluster = "ward"
listen = ["127.0.0.1:8443"]
[[certificate]]
chain = "cert.pem"
key = "key.pem"
[nodes]
verify = "off"
[[nodes.static]]
name = "a"
address = "127.0.0.1:3000"
"""
SECURE = BASE.replace(
    'verify = "off"', 'tls = { ca = "cert.pem", chain = "cert.pem", key = "key.pem" }'
)


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    files = Authority(tmp_path_factory.mktemp("pair")).issue()
    return Path(files.cert).read_text(), Path(files.key).read_text()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cert.pem").write_text(pair[0])
    (tmp_path / "key.pem").write_text(pair[1])
    (tmp_path / "key.pem").chmod(0o600)
    return tmp_path


def read(text: str) -> BalancerSettings:
    Path("balancer.toml").write_text(text)
    return read_settings(Path("balancer.toml"))


def refused(text: str) -> SettingRefused:
    with pytest.raises(SettingRefused) as caught:
        read(text)
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.file == "balancer.toml"
    return caught.value


def test_a_short_file_is_enough(folder: Path) -> None:
    settings = read(BASE)
    assert settings == BalancerSettings(
        file="balancer.toml",
        cluster="ward",
        listen=(Address("127.0.0.1", 8443),),
        certificate=(ServerCertificate(str(folder / "cert.pem"), str(folder / "key.pem")),),
        nodes=NodesSettings(
            verify="off", static=(Member(name="a", address=Address("127.0.0.1", 3000)),)
        ),
    )


def test_it_is_known_when_certificates_end(pair: tuple[str, str]) -> None:
    ends = read(SECURE).certificate_ends
    certificate = x509.load_pem_x509_certificate(pair[0].encode())
    end = certificate.not_valid_after_utc.timestamp()
    assert ends == {"certificate[1]": end, "nodes.tls": end}
    assert read(BASE).certificate_ends.keys() == {"certificate[1]"}


def test_everything_can_be_set(folder: Path, tmp_path: Path) -> None:
    key = bytes(range(32))
    (folder / "a.key").write_text(key.hex() + "\n")
    (folder / "b.key").write_text(base64.b64encode(key[::-1]).decode())
    for name in ("a.key", "b.key"):
        (folder / name).chmod(0o600)
    (folder / "denied.txt").write_text("AB:" * 31 + "AB  # somebody\n\n")
    limits = "\n".join(f"{name} = {number}" for number, name in enumerate(SECTIONS["limits"], 1))
    settings = read(f"""
cluster = "ward"
listen = ["0.0.0.0:443", "[::]:443"]
proxied_listen = ["10.0.0.1:8443"]
proxied_from = ["10.0.0.0/8", "fd00::/8"]
redirect = ["0.0.0.0:80"]
https_port = 443
workers = 3
management = "run/management.sock"
access_log = "-"
policy = "round-robin"
slow_start_s = 0
hsts_s = 0
retry_after_s = 5
drain_s = 12.5

[[certificate]]
chain = "cert.pem"
key = "key.pem"
[[certificate]]
chain = "{folder}/cert.pem"
key = "{folder}/key.pem"

[nodes]
registry = "mongodb://app:secret@db"
insecure_registry = true
verify = "role"
lookup_interval_s = 1

[nodes.tls]
ca = "cert.pem"
chain = "cert.pem"
key = "key.pem"
denied = "denied.txt"

[[nodes.static]]
name = "a"
address = "node-a:3000"
management = "node-a:3100"
weight = 2
max_connections = 100
server_name = "a.example.org"

[[nodes.dns]]
address = "nodes.example.org:3000"
management_port = 3100
weight = 0.5
max_connections = 7

[affinity]
keys = ["a.key", "b.key"]
max_age_s = 60

[health]
path = "/health?full=1"
interval_s = 0.5
timeout_s = 1
rise = 1
fall = 1
eject_after = 2
eject_window_s = 3
eject_s = 4
max_eject_s = 5

[limits]
{limits}
""")
    certificate = ServerCertificate(str(folder / "cert.pem"), str(folder / "key.pem"))
    own = NodeTLSSettings(
        ca=certificate.chain,
        chain=certificate.chain,
        key=certificate.key,
        denied=str(folder / "denied.txt"),
    )
    assert settings == BalancerSettings(
        file="balancer.toml",
        cluster="ward",
        listen=(Address("0.0.0.0", 443), Address("::", 443)),
        proxied_listen=(Address("10.0.0.1", 8443),),
        proxied_from=("10.0.0.0/8", "fd00::/8"),
        redirect=(Address("0.0.0.0", 80),),
        https_port=443,
        workers=3,
        management=str(folder / "run/management.sock"),
        access_log="-",
        policy="round-robin",
        slow_start_s=0,
        hsts_s=0,
        retry_after_s=5,
        drain_s=12.5,
        certificate=(certificate, certificate),
        nodes=NodesSettings(
            registry="mongodb://app:secret@db",
            insecure_registry=True,
            lookup_interval_s=1,
            tls=own,
            static=(
                Member(
                    name="a",
                    address=Address("node-a", 3000),
                    management=Address("node-a", 3100),
                    weight=2,
                    max_connections=100,
                    server_name="a.example.org",
                ),
            ),
            dns=(
                DNSName(
                    address=Address("nodes.example.org", 3000),
                    management_port=3100,
                    weight=0.5,
                    max_connections=7,
                ),
            ),
        ),
        affinity=AffinitySettings(
            keys=(str(folder / "a.key"), str(folder / "b.key")), max_age_s=60
        ),
        health=HealthSettings(
            path="/health?full=1",
            interval_s=0.5,
            timeout_s=1,
            rise=1,
            fall=1,
            eject_after=2,
            eject_window_s=3,
            eject_s=4,
            max_eject_s=5,
        ),
        limits=Limits(**{name: number for number, name in enumerate(SECTIONS["limits"], 1)}),  # pyright: ignore[reportArgumentType]
        cookie_keys=(key, key[::-1]),
        denied=frozenset({"ab" * 32}),
    )
    assert "secret" not in repr(settings)
    assert key.hex() not in repr(settings)


def test_every_setting_can_be_written() -> None:
    def names(kind: Any) -> set[str]:
        return {setting.name for setting in fields(kind)}

    not_written = {
        "file",
        "cookie_keys",
        "denied",
        "certificate_ends",
        "certificate",
        "nodes",
        "affinity",
        "health",
    }
    assert set(SECTIONS[""]) == names(BalancerSettings) - not_written - {"limits"}
    assert set(SECTIONS["nodes"]) == names(NodesSettings) - {"static", "dns", "tls"}
    assert set(SECTIONS["nodes.static"]) == names(Member)
    assert set(SECTIONS["nodes.dns"]) == names(DNSName)
    assert set(SECTIONS["nodes.tls"]) == names(NodeTLSSettings)
    assert set(SECTIONS["affinity"]) == names(AffinitySettings)
    assert set(SECTIONS["health"]) == names(HealthSettings) > names(HealthRules)
    assert set(SECTIONS["limits"]) == {field.name for field in msgspec.structs.fields(Limits)}


@pytest.mark.parametrize(
    ("old", "new", "line", "option", "remedy"),
    [
        ('"ward"', '"Ward"', 1, "cluster", "a name of small letters"),
        ('"ward"', "7", 1, "cluster", "a name"),
        ('cluster = "ward"\n', "", None, "cluster", "a name"),
        ('["127.0.0.1:8443"]', '"127.0.0.1:8443"', 2, "listen", "a list of hosts with ports"),
        ('["127.0.0.1:8443"]', '["127.0.0.1"]', 2, "listen", "a list of hosts with ports"),
        ('["127.0.0.1:8443"]', "[]", 2, "listen", "where browsers connect"),
        ("[[cert", 'redirect = ["127.0.0.1:8443"]\n[[cert', 3, "redirect", "an address of its own"),
        ("[[cert", 'proxied_listen = ["10.0.0.1:1"]\n[[cert', None, "proxied_from", "networks"),
        ("[[cert", 'proxied_from = ["10.0.0.1/8"]\n[[cert', 3, "proxied_from", "networks"),
        ("[[cert", "https_port = 0\n[[cert", 3, "https_port", "a port"),
        ("[[cert", "workers = -1\n[[cert", 3, "workers", "a whole number, 0 or more"),
        ("[[cert", "workers = true\n[[cert", 3, "workers", "a whole number, 0 or more"),
        ("[[cert", "workers = 1.5\n[[cert", 3, "workers", "a whole number, 0 or more"),
        ("[[cert", f'management = "{"x" * 120}"\n[[cert', 3, "management", "107 bytes at most"),
        ("[[cert", 'policy = "random"\n[[cert', 3, "policy", '"two-choices" or "round-robin"'),
        ("[[cert", "slow_start_s = -1\n[[cert", 3, "slow_start_s", "0 or more"),
        ("[[cert", "drain_s = inf\n[[cert", 3, "drain_s", "0 or more"),
        ("[[cert", "drain_s = nan\n[[cert", 3, "drain_s", "0 or more"),
        ("[[cert", "hsts_s = 0.5\n[[cert", 3, "hsts_s", "a whole number of seconds"),
        ("[[certificate]]", "[certificate]", 3, "certificate", "write [[certificate]]"),
        ('key = "key.pem"\n', "", 3, "certificate[1].key", "the path of a file"),
        ("[[certificate]]\n", "[limits]\nmax_queue = 0\n[[certificate]]\n", 4, "limits.max_queue",
         "a whole number above 0"),
        ("[[certificate]]\n", "[health]\nfall = 0\n[[certificate]]\n", 4, "health.fall",
         "a whole number above 0"),
        ("[[certificate]]\n", '[health]\npath = "readyz"\n[[certificate]]\n', 4, "health.path",
         "a path such as /readyz"),
        ("[[certificate]]\n", "[health]\nmax_eject_s = 1\n[[certificate]]\n", 4,
         "health.max_eject_s", "at least eject_s, 5"),
        ("[[certificate]]\n", "[affinity]\nmax_age_s = 0\n[[certificate]]\n", 4,
         "affinity.max_age_s", "a whole number of seconds above 0"),
        ("[nodes]\n", "[[nodes]]\n", 6, "nodes", "write [nodes] above its settings"),
        ('verify = "off"', 'verify = "no"', 7, "nodes.verify", '"role" or "name" or "off"'),
        ('verify = "off"', 'verify = "role"', 6, "nodes.tls.ca", 'because verify is "role"'),
        ('name = "a"', 'name = ""', 9, "nodes.static[1].name", "a name"),
        ('name = "a"\n', "", 8, "nodes.static[1].name", "a name"),
        ('"127.0.0.1:3000"', '"127.0.0.1:0x1"', 10, "nodes.static[1].address", "a host and a port"),
        ('"127.0.0.1:3000"', '"10.0.0.1:3000"', 10, "nodes.static[1].address", "on loopback"),
        ('"127.0.0.1:3000"', '"127.0.0.1:3000"\nmanagement = "10.0.0.1:1"', 11,
         "nodes.static[1].management", "on loopback"),
        ('"127.0.0.1:3000"', '"127.0.0.1:3000"\nweight = -1', 11, "nodes.static[1].weight",
         "a number, 0 or more"),
        ('"127.0.0.1:3000"', '"127.0.0.1:3000"\n[[nodes.static]]\nname = "a"\naddress = "[::1]:1"',
         12, "nodes.static[2].name", "that no other node has"),
        ('"127.0.0.1:3000"',
         '"127.0.0.1:3000"\n[[nodes.static]]\nname = "b"\naddress = "127.0.0.1:3000"',
         13, "nodes.static[2].address", "that no other node has"),
        ('"127.0.0.1:3000"', '"127.0.0.1:3000"\n[[nodes.dns]]\naddress = "nodes:1"', 12,
         "nodes.dns[1].address", "on loopback"),
        ('[[nodes.static]]\nname = "a"\naddress = "127.0.0.1:3000"', "", 6, "nodes",
         "write [[nodes.static]]"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told_with_its_line(
    old: str, new: str, line: int | None, option: str, remedy: str
) -> None:
    assert old in BASE
    error = refused(BASE.replace(old, new, 1))
    assert (error.line, error.option) == (line, option)
    assert remedy in error.expected
    place = "balancer.toml: " if line is None else f"balancer.toml, line {line}: "
    assert str(error).startswith(f"{place}{option} is ")
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("listen =", "lisen =", 2, "lisen is no setting of a balancer: did you mean listen?"),
        ("[[certificate]]", "[[certificates]]", 3, "did you mean certificate?"),
        ("key =", "kee =", 5, "certificate[1].kee is no setting of a balancer: did you mean"
         " certificate[1].key?"),
        ("verify =", "verfy =", 7, "nodes.verfy is no setting of a balancer: did you mean"
         " nodes.verify?"),
        ("[[nodes.static]]", "[[nodes.statics]]", 8, "did you mean nodes.static?"),
        ('name = "a"', "zzz = 1", 9, "docs/reference/balancer.md lists them."),
    ],
)  # fmt: skip
def test_an_unknown_name_gets_the_nearest_one(old: str, new: str, line: int, said: str) -> None:
    assert old in BASE
    error = refused(BASE.replace(old, new, 1))
    assert isinstance(error, UnknownSetting)
    assert error.line == line
    assert said in str(error)


def test_what_is_no_toml_is_told_with_its_line_and_without_its_text() -> None:
    error = refused(BASE.replace('verify = "off"', "verify = hunter2"))
    assert error.line == 7
    assert "hunter2" not in str(error)
    assert refused(BASE + 'x = """\nhunter2\n').line == 13


def test_a_file_that_is_not_there_or_no_text_is_told() -> None:
    with pytest.raises(SettingRefused, match="No such file"):
        read_settings(Path("absent.toml"))
    Path("balancer.toml").write_bytes(b"\xff")
    with pytest.raises(SettingRefused, match="UTF-8"):
        read_settings(Path("balancer.toml"))
    Path("balancer.toml").write_text("#" * 2_000_000)
    with pytest.raises(SettingRefused, match="no longer than"):
        read_settings(Path("balancer.toml"))


def test_the_url_of_a_registry_is_not_shown() -> None:
    error = refused(
        BASE.replace(
            "[[nodes.static]]", 'registry = ["mongodb://app:hunter2@db"]\n[[nodes.static]]'
        )
    )
    assert error.line == 8
    assert "hunter2" not in str(error)


def test_a_node_that_proves_its_name_may_have_an_authority_that_all_believe() -> None:
    assert read(BASE.replace('verify = "off"', 'verify = "name"')).nodes.tls.ca == ""


def test_a_node_that_proves_its_name_need_not_know_ours() -> None:
    text = BASE.replace('verify = "off"', 'verify = "name"\ntls = { ca = "cert.pem" }')
    assert read(text).nodes.verify == "name"
    half = text.replace('ca = "cert.pem"', 'ca = "cert.pem", chain = "cert.pem"')
    assert (refused(half).line, refused(half).option) == (8, "nodes.tls.key")


def test_secure_nodes_may_be_anywhere() -> None:
    settings = read(SECURE.replace("127.0.0.1:3000", "10.0.0.1:3000"))
    assert settings.nodes.verify == "role"


@pytest.mark.parametrize("file", ["cert.pem", "key.pem"])
@pytest.mark.parametrize("text", [BASE, SECURE])
def test_a_missing_file_is_told(file: str, text: str) -> None:
    Path(file).unlink()
    error = refused(text)
    assert error.line == (4 if file == "cert.pem" else 5)
    assert "a file that exists" in str(error)


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o606, 0o601])
def test_a_private_key_that_others_can_reach_is_refused(mode: int) -> None:
    Path("key.pem").chmod(mode)
    error = refused(BASE)
    assert (error.line, error.option) == (5, "certificate[1].key")
    assert "chmod o-rwx" in str(error)


def test_a_private_key_that_a_group_reads_is_taken() -> None:
    Path("key.pem").chmod(0o640)
    read(BASE)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    other = Authority(tmp_path).issue()
    error = refused(BASE.replace("key.pem", other.key))
    assert (error.line, error.expected) == (5, "the key of the certificate in chain")


@pytest.mark.parametrize(
    ("name", "text", "line", "expected"),
    [
        ("cert.pem", "rubbish", 4, "certificates as PEM text"),
        ("key.pem", "rubbish", 5, "a private key as PEM text"),
    ],
)
def test_what_is_no_pem_is_refused(name: str, text: str, line: int, expected: str) -> None:
    Path(name).write_text(text)
    error = refused(BASE)
    assert (error.line, error.expected) == (line, expected)


def with_keys(*names: str) -> str:
    return BASE + f"[affinity]\nkeys = {list(names)}\n"


def test_a_made_key_is_closed_and_can_be_read(folder: Path) -> None:
    make_key("made.key")
    assert Path("made.key").stat().st_mode & 0o777 == 0o600
    assert len(read(with_keys("made.key")).cookie_keys[0]) == 32
    with pytest.raises(FileExistsError):
        make_key("made.key")


@pytest.mark.parametrize(
    "text", ["", "ab", "00" * 31, "00" * 33, "zz" * 32, "\u00e4" * 32, "A" * 44]
)
def test_a_file_without_a_key_is_refused_and_not_shown(text: str) -> None:
    Path("a.key").write_text(text)
    Path("a.key").chmod(0o600)
    error = refused(with_keys("a.key"))
    assert (error.line, error.option) == (12, "affinity.keys")
    assert "openssl rand -hex 32" in str(error)
    assert not text or text not in str(error)


def test_an_affinity_key_that_others_can_reach_is_refused() -> None:
    make_key("a.key")
    Path("a.key").chmod(0o644)
    assert "chmod o-rwx" in str(refused(with_keys("a.key")))


def test_a_slip_in_a_deny_list_is_told_with_its_line() -> None:
    Path("denied.txt").write_text("ab" * 32 + "\nab\n")
    error = refused(SECURE.replace("tls = {", 'tls = { denied = "denied.txt",'))
    assert (error.line, error.option) == (7, "nodes.tls.denied")
    assert "Line 2" in str(error)


def test_a_private_key_with_a_passphrase_is_refused() -> None:
    key = load_pem_private_key(Path("key.pem").read_bytes(), None)
    sealed = BestAvailableEncryption(b"passphrase")
    Path("key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption_algorithm=sealed)
    )
    assert "nobody is there to type it" in str(refused(BASE))


def test_a_key_that_is_too_short_is_told_as_such() -> None:
    key = rsa.generate_private_key(65537, 1024)
    Path("key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "short")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(1))
    ).sign(key, SHA256())
    Path("cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    assert "RSA of 2048 bits" in refused(BASE).expected


def test_a_table_written_twice_is_told_how_to_write_it() -> None:
    error = refused(BASE.replace("[[nodes.static]]", "[nodes.static]\n[nodes.static]"))
    assert str(error).startswith("balancer.toml, line 9: This line must be TOML: ")
    assert "[[table]]" in str(error)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(FileRefused) as caught:
        read_settings(Path("nowhere.toml"))
    expected = "nowhere.toml: This must be a file that can be read (No such file or directory)."
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("log", "remedy"),
    [
        ("nowhere/access.log", "a file in a folder that exists"),
        (".", "a file, and not a folder"),
    ],
)
def test_an_access_log_that_cannot_be_written_is_refused(log: str, remedy: str) -> None:
    error = refused(f'access_log = "{log}"\n{BASE}')
    assert (error.line, error.option, error.expected) == (1, "access_log", remedy)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("access.log", "a file that this user may write to"),
        ("other.log", "a file in a folder that this user may write to"),
    ],
)
def test_an_access_log_of_somebody_else_is_refused(
    name: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object) -> bool:
        return False

    Path("access.log").touch()
    monkeypatch.setattr(os, "access", nothing)  # root may write anywhere
    assert refused(f'access_log = "{name}"\n{BASE}').expected == remedy


def test_looking_at_an_access_log_makes_none() -> None:
    read(f'access_log = "access.log"\n{BASE}')
    assert not Path("access.log").exists()
    Path("access.log").touch()
    read(f'access_log = "access.log"\n{BASE}')
