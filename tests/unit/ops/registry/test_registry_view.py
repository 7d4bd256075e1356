import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from cryptography import x509
from tests.cluster_certificates import CertificateAuthority

from bolide.balancer.members.address import Address
from bolide.balancer.members.member import Member
from bolide.core.fingerprints import fingerprint
from bolide.ops.registry import registry_view
from bolide.ops.registry.registry_view import MISSED_READS, TOLERANCE_S, RegistryView
from bolide.server.registry.announcement import Announcement, signed_document
from bolide.server.registry.announcer import LASTS_S
from bolide.server.registry.signer import Signer

Document: TypeAlias = Mapping[str, Any]

_NOW = datetime.now(UTC).replace(microsecond=0)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


class Registry:
    """A cluster's view, its nodes, and the time."""

    def __init__(self, folder: Path) -> None:
        self.authority = CertificateAuthority(folder)
        self.now = _NOW
        self.view = self.new_view()
        self._signers: dict[str, Signer] = {}

    def new_view(self, *denied: str) -> RegistryView:
        authorities = x509.load_pem_x509_certificates(Path(self.authority.pem).read_bytes())
        return RegistryView("ward", authorities, frozenset(denied), wall=lambda: self.now)

    def signer(self, node: str, ends: datetime | None = None) -> Signer:
        if node not in self._signers:
            own = self.authority.issue(f"bolide://ward/node/{node}", ends=ends)
            self._signers[node] = Signer.read(own.chain, own.key)
        return self._signers[node]

    def said(
        self, node: str = "n1", *, boot: int | None = None, seq: int = 1, **said: Any
    ) -> Document:
        """Return what a node writes; fresh and of a process that began a minute ago."""
        values: dict[str, Any] = {
            "address": "10.0.0.11:3000",
            "management": "10.0.0.11:9300",
            "weight": 1.0,
            "exp": _ms(self.now) + int(LASTS_S * 1000),
            "boot": _ms(_NOW) - 60_000 if boot is None else boot,
            **said,
        }
        announcement = Announcement(cluster="ward", node=node, seq=seq, **values)
        signer = self.signer(node)
        return signed_document(announcement, signer.key, signer.certificate)

    def names(self, *documents: Document) -> list[str]:
        return [member.name for member in self.view.receive(documents)]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def test_a_node_is_a_member_as_it_says(registry: Registry) -> None:
    [member] = registry.view.receive([registry.said(weight=2.5)])
    assert member == Member(
        name="n1",
        address=Address("10.0.0.11", 3000),
        management=Address("10.0.0.11", 9300),
        weight=2.5,
    )
    [member] = registry.view.receive([registry.said(seq=2, management="", address="[fd00::1]:1")])
    assert (member.management, member.address) == (None, Address("fd00::1", 1))


def test_nodes_come_by_name(registry: Registry) -> None:
    assert registry.names(registry.said("n2"), registry.said("n1")) == ["n1", "n2"]


def test_what_was_said_before_is_not_believed_again(registry: Registry) -> None:
    boot = _ms(_NOW) - 1000
    first, second = (registry.said(boot=boot, seq=seq, weight=seq) for seq in (1, 2))
    before = registry.said(boot=boot - 1, seq=99, weight=9)
    after = registry.said(boot=boot + 1, seq=1, weight=3)
    weights = [
        [member.weight for member in registry.view.receive([document])]
        for document in (second, first, before, after, second)
    ]
    assert weights == [[2], [2], [2], [3], [3]]


def test_a_copy_of_an_old_announcement_keeps_nobody_alive(registry: Registry) -> None:
    first, second = registry.said(seq=1), registry.said(seq=2)
    registry.names(second)
    seen = [registry.names((first, second)[number % 2]) for number in range(MISSED_READS)]
    assert seen == [["n1"]] * (MISSED_READS - 1) + [[]]


def test_a_node_without_news_is_gone_and_comes_back_with_some(registry: Registry) -> None:
    document = registry.said()
    assert registry.names(document) == ["n1"]
    for _ in range(MISSED_READS - 1):
        assert registry.names(document) == ["n1"]
    assert registry.names(document) == []
    registry.now += timedelta(hours=1)
    assert registry.names(registry.said(seq=2)) == ["n1"]


def test_a_node_whose_document_is_gone_is_gone_a_little_later(registry: Registry) -> None:
    registry.names(registry.said())
    seen = [registry.names() for _ in range(MISSED_READS)]
    assert seen == [["n1"]] * (MISSED_READS - 1) + [[]]


def test_a_goodbye_counts_at_once_and_for_good(registry: Registry) -> None:
    before, goodbye = registry.said(), registry.said(seq=2, exp=0)
    assert registry.names(before) == ["n1"]
    assert registry.names(goodbye) == []
    assert registry.names(before) == []
    boot = _ms(registry.now)
    assert registry.names(registry.said(boot=boot)) == ["n1"]


def test_a_goodbye_of_before_is_nobody(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    assert registry.names(registry.said(exp=0)) == []
    assert caplog.messages == []


def test_nobody_is_gone_because_the_store_was_away(registry: Registry) -> None:
    document = registry.said()
    for _ in range(MISSED_READS):
        registry.names(document)
    registry.now += timedelta(hours=1)
    registry.view.resume()
    assert registry.names(document) == ["n1"]


def test_an_unknown_node_is_believed_if_what_it_says_is_fresh(registry: Registry) -> None:
    document = registry.said()
    registry.now += timedelta(seconds=LASTS_S + TOLERANCE_S)
    assert registry.new_view().receive([document])
    registry.now += timedelta(seconds=1)
    assert not registry.new_view().receive([document])


def test_a_clock_that_is_far_ahead_is_told(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    late = timedelta(seconds=TOLERANCE_S + 2)
    registry.now += late
    documents = [registry.said("n1"), registry.said("n2", boot=_ms(registry.now), exp=1)]
    registry.now -= late
    assert registry.names(*documents) == []
    assert [message.rpartition(" ")[2] for message in caplog.messages] == ["clock", "clock"]


def test_a_node_goes_with_its_certificate(registry: Registry) -> None:
    registry.signer("n1", ends=_NOW + timedelta(minutes=5))
    assert registry.names(registry.said()) == ["n1"]
    registry.now += timedelta(minutes=5)
    assert registry.names(registry.said()) == []


def test_a_denied_node_is_no_member(registry: Registry) -> None:
    registry.view = registry.new_view(fingerprint(registry.signer("n1").certificate))
    assert registry.names(registry.said()) == []


@pytest.mark.parametrize(
    "said",
    [
        {"address": "10.0.0.11"},
        {"address": ""},
        {"management": "nowhere"},
        {"weight": -1.0},
        {"weight": 1e9},
        {"boot": 2**62},
    ],
)
def test_what_makes_no_member_leaves_what_was_known(
    registry: Registry, said: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert registry.names(registry.said()) == ["n1"]
    assert registry.names(registry.said(seq=2, **said)) == ["n1"]
    assert registry.names(registry.said("n2", **said)) == ["n1"]
    assert {message.rpartition(" ")[2] for message in caplog.messages} <= {"malformed", "clock"}
    assert caplog.messages


def test_rubbish_in_the_collection_is_told_once_and_not_repeated(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    forged = {**registry.said("n2"), "payload": msgspec.json.encode({"marked": 1})}
    rubbish: Sequence[Document] = [{"_id": "marked"}, {"_id": 7, "payload": "marked"}, forged]
    good = registry.said()
    for _ in range(3):
        assert registry.names(good, *rubbish) == ["n1"]
    assert len(caplog.messages) == len(rubbish)
    assert "marked" not in caplog.text


def test_what_is_remembered_is_bounded(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_view, "MAX_REMEMBERED", 2)
    documents = [registry.said(f"n{number}") for number in range(4)]
    assert registry.names(*documents) == ["n0", "n1"]
