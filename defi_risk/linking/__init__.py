"""Which loan of a book funds which margin: said by its owner, followed through transfers on chain, or guessed from equal amounts.

model.py      transfers, what to look for in a chain's logs, links
scope.py      what to look for on which chain; mostly nothing
moves.py      from transfers to moves between the book's wallets and venues
following.py  first in, first out: whose money lies where
tracing.py    the links that transfers prove
finding.py    all links of a book, the surest first

Nothing here reads anything: `defi_risk.sources.logs` does, where a chain has logs.
"""

from defi_risk.linking.finding import find, tagged
from defi_risk.linking.model import Hop, How, Link, Mark, Search, Seen, Transfer
from defi_risk.linking.scope import searches
from defi_risk.linking.tracing import traced

__all__ = ["Hop", "How", "Link", "Mark", "Search", "Seen", "Transfer", "find", "searches", "tagged", "traced"]
