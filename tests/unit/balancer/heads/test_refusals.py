"""Every name of a refusal is on the page that explains them."""

import re
from pathlib import Path
from typing import Final

from bolide.balancer import heads

PAGE: Final = Path(__file__).parents[4] / "docs/reference/balancer-refusals.md"


def test_the_page_names_every_refusal() -> None:
    [folder] = heads.__path__
    source = "".join(file.read_text() for file in Path(folder).glob("*.py"))
    raised = set(re.findall(r'HeadError\([^"]*?"([a-z-]+)"', source))
    table = PAGE.read_text().partition("\n## What a node gets")[0]
    explained = {
        name
        for first in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
        for name in re.findall(r"`([a-z-]+)`", first)
    }
    # These are chosen where what is wrong is looked at more closely.
    raised |= {"bare-cr-lf", "field", "folded-field", "request-line"}
    assert explained == raised
