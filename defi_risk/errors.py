"""Every error this package raises on purpose, as one tree.

    DefiRiskError
    ├── UsageError                    wrong usage or configuration: exit code 2
    │   ├── BookError                 a book that cannot be read, with file and line
    │   ├── AddressError              not an address, or a wrong checksum
    │   ├── UnknownName               a chain, market, key or option nobody knows, with the nearest name
    │   ├── SettingError              a setting of a market that its adapter cannot use
    │   └── SecretMissing             a reference such as ${NAME} that leads nowhere
    ├── SourceError                   a node or exchange failed: the snapshot is partial, exit code 3
    │   ├── Unreachable               no connection
    │   ├── TimedOut                  no answer in time
    │   ├── RateLimited               asked too often
    │   ├── Refused                   not allowed
    │   │   └── WrongClock            the exchange refuses the time of our requests
    │   ├── WrongChain                the node serves another chain
    │   ├── BlockUnavailable          the node does not have that block or its state
    │   ├── Reorged                   the anchor's block is no longer part of the chain
    │   ├── Disagreement              two nodes answer one question differently
    │   ├── Incapable                 the node does not know the method or the kind of call
    │   └── BadAnswer                 an answer that cannot be used
    │       ├── TooLarge              larger than the cap
    │       ├── Undecodable           not what the question's type says
    │       └── OutOfRange            decodes, but to a value that cannot be
    ├── AdapterError                  one account is unknown, the others go on
    │   ├── CallReverted              a contract refused a read that must work
    │   ├── ServiceFailed             a venue's own service gave no answer to a question that must be answered
    │   ├── Unsupported               a mode or feature that is not modelled
    │   └── MissingPrice              no source prices something the account holds
    ├── StoreError                    a file of ours that cannot be used
    └── PluginError                   an installed adapter that cannot be used

A message is one line. It names the value, what is wrong with it and, in `hint`, what would be right. It never carries a
secret: whoever translates a foreign exception writes a new sentence and cuts the chain (`raise ... from None`).
"""

from __future__ import annotations


class DefiRiskError(Exception):
    """Base of all errors of this package; `str()` is the message, with the hint behind a dash where there is one."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        line = f"{self.message} - {self.hint}" if self.hint else self.message
        return " ".join(line.split())


class UsageError(DefiRiskError):
    """What was asked for cannot be done as asked; nothing was read."""

    exit_code = 2


class BookError(UsageError):
    """A book, or another file of the user's, that cannot be used."""

    def __init__(self, message: str, *, file: str = "", line: int = 0, hint: str = "") -> None:
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(where + message, hint=hint)
        self.file = file
        self.line = line


class AddressError(UsageError):
    """Text that is not an address of 20 bytes, or whose EIP-55 checksum is wrong."""


class UnknownName(UsageError):
    """A name outside a closed set; the hint gives the nearest known one."""

    def __init__(self, kind: str, name: str, known: tuple[str, ...] = ()) -> None:
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=5, cutoff=0.5)
        swapped = [other for other in near if sorted(other) == sorted(name)]  # letters in another order are the likelier slip
        if near:
            hint = f"did you mean {(swapped or near)[0]!r}?"
        elif known:
            hint = "known: " + ", ".join(sorted(known)[:24])
        else:
            hint = ""
        super().__init__(f"unknown {kind} {name!r}", hint=hint)
        self.kind = kind
        self.name = name


class SettingError(UsageError):
    """A setting of a market that its adapter cannot use. `what` it must be, without the value, which may be a secret."""

    def __init__(self, setting: str, what: str, hint: str = "") -> None:
        super().__init__(f"the setting {setting!r} of a market {what}", hint=hint)
        self.setting = setting
        self.what = what


class SecretMissing(UsageError):
    """A reference to a secret (`${NAME}`, `keyring:`, `file:`) that does not lead to one."""


class SourceError(DefiRiskError):
    """A source of data failed. `source` names it without secrets; `retryable` tells whether the same question may work later."""

    exit_code = 3
    retryable = False

    def __init__(self, message: str, *, source: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.source = source


class Unreachable(SourceError):
    """No connection to the source."""

    retryable = True


class TimedOut(SourceError):
    """The source gave no full answer within its time."""

    retryable = True


class RateLimited(SourceError):
    """The source asks to be asked less often; `retry_after` in seconds where it said so."""

    retryable = True

    def __init__(self, message: str, *, source: str = "", hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, source=source, hint=hint)
        self.retry_after = retry_after


class Refused(SourceError):
    """The source refuses this client: key, permission or address."""


class WrongClock(Refused):
    """The exchange does not take signed requests of that time: this machine's clock and its own are too far apart."""


class WrongChain(SourceError):
    """The node serves another chain than the one configured."""


class BlockUnavailable(SourceError):
    """The node does not hold the block asked for, or its state: a pruned node, or one behind a balancer whose neighbour does."""

    retryable = True


class Reorged(SourceError):
    """The block that the scan was pinned to left the chain while it was read."""


class Disagreement(SourceError):
    """Two nodes gave different answers to one question about one block."""


class Incapable(SourceError):
    """The node does not offer the method, parameter or size of request."""


class BadAnswer(SourceError):
    """An answer that cannot be used."""

    retryable = True


class TooLarge(BadAnswer):
    """An answer above the size cap."""


class Undecodable(BadAnswer):
    """An answer that is not of the type asked for (empty bytes where data is expected, truncated or malformed data)."""


class OutOfRange(BadAnswer):
    """An answer of the right type with an impossible value."""


class AdapterError(DefiRiskError):
    """One account could not be read or modelled; it is unknown and the rest of the book goes on."""

    exit_code = 3


class CallReverted(AdapterError):
    """A contract reverted on a read that the account needs."""


class ServiceFailed(AdapterError):
    """A venue's public information service did not answer what the account needs: the chain's own reads are not touched by it."""


class Unsupported(AdapterError):
    """The account uses a mode or feature that is not modelled; a guess would be worse than no number."""


class MissingPrice(AdapterError):
    """Nothing prices an asset that the account holds."""


class StoreError(DefiRiskError):
    """A cache, snapshot or state file that is damaged, locked, foreign or too new."""

    exit_code = 2


class PluginError(DefiRiskError):
    """An installed adapter that cannot be loaded, clashes with another one or speaks another API version."""

    exit_code = 2
