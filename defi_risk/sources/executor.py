"""The code that runs many reads inside one `eth_call` where no Multicall3 stands: a state override puts it at an address of nobody.

It takes a row of items, each [20 bytes target][4 bytes length][calldata], and returns the block's time as one word and then, for each
item in turn, [1 byte success][4 bytes length][return data]; the last word is the gas left. The length ffffffff asks for the target's
balance instead, answered as 32 bytes. Every call is a STATICCALL, so that nothing can change between two of them.

The listing below is the source; `assemble` turns it into bytes. In the comments `o` is where the next output goes, `p` where the
next item is read, and the stack is written with its top at the right.
"""

from __future__ import annotations

from functools import cache
from typing import Final

LISTING: Final = """
          TIMESTAMP  0 MSTORE                  ; the block's time is the first word of the output
          32 0                                 ; o p
loop:     CALLDATASIZE DUP2 LT ISZERO @end JUMPI
          DUP1 CALLDATALOAD 96 SHR             ; o p target
          DUP2 20 ADD CALLDATALOAD 224 SHR     ; o p target length
          DUP1 0xffffffff EQ @balance JUMPI

          DUP1 DUP4 24 ADD DUP6 CALLDATACOPY   ; calldata goes where the output will go: it is not needed after the call
          0 0 DUP3 DUP7 DUP6 GAS STATICCALL    ; o p target length success
          DUP5 MSTORE8                         ; memory[o] = success
          RETURNDATASIZE 224 SHL DUP5 1 ADD MSTORE          ; memory[o+1 .. o+5] = size of the return data
          RETURNDATASIZE 0 DUP6 5 ADD RETURNDATACOPY        ; memory[o+5 ..] = return data
          24 ADD SWAP1 POP ADD                 ; o p'        with p' = p + 24 + length
          SWAP1 RETURNDATASIZE ADD 5 ADD SWAP1 ; o' p'       with o' = o + 5 + size
          @loop JUMP

balance:  POP BALANCE                          ; o p balance
          1 DUP4 MSTORE8                       ; memory[o] = 1
          32 224 SHL DUP4 1 ADD MSTORE         ; memory[o+1 .. o+5] = 32
          DUP3 5 ADD MSTORE                    ; memory[o+5 ..] = balance
          24 ADD SWAP1 37 ADD SWAP1            ; o' p'
          @loop JUMP

end:      POP GAS DUP2 MSTORE                  ; memory[o ..] = gas left
          32 ADD 0 RETURN                      ; memory[0 .. o+32]
"""
_NAMED: Final = """
    01 ADD  10 LT  14 EQ  15 ISZERO  1b SHL  1c SHR  31 BALANCE  35 CALLDATALOAD  36 CALLDATASIZE  37 CALLDATACOPY  3d RETURNDATASIZE
    3e RETURNDATACOPY  42 TIMESTAMP  50 POP  52 MSTORE  53 MSTORE8  56 JUMP  57 JUMPI  5a GAS  f3 RETURN  fa STATICCALL
"""
_OPCODES: Final = {
    **{name: int(number, 16) for number, name in zip(_NAMED.split()[::2], _NAMED.split()[1::2], strict=True)},
    **{f"DUP{n}": 0x7F + n for n in range(1, 17)},
    **{f"SWAP{n}": 0x8F + n for n in range(1, 17)},
}
_PUSH1: Final = 0x60
_JUMPDEST: Final = 0x5B


def assemble(listing: str) -> bytes:
    """Bytecode of a listing: opcodes by name, numbers as pushes, `name:` a jump target and `@name` a push of its place.

    The code must stay below 256 bytes, so that one byte holds every place.
    """
    code = bytearray()
    places: dict[str, int] = {}
    uses: list[tuple[int, str]] = []
    for token in (token for line in listing.splitlines() for token in line.partition(";")[0].split()):
        if token.endswith(":"):
            places[token[:-1]] = len(code)
            code.append(_JUMPDEST)
        elif token.startswith("@"):
            uses.append((len(code) + 1, token[1:]))
            code += bytes((_PUSH1, 0))
        elif token in _OPCODES:
            code.append(_OPCODES[token])
        else:
            number = int(token, 0)
            size = max(1, (number.bit_length() + 7) // 8)
            code.append(_PUSH1 - 1 + size)
            code += number.to_bytes(size, "big")
    for at, name in uses:
        code[at] = places[name]
    return bytes(code)


@cache
def code() -> bytes:
    """The executor's runtime bytecode."""
    return assemble(LISTING)
