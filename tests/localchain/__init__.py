"""Real protocol contracts on a node of this machine, for the truth tests and for `make devnet`.

    toolchain, paths, process, node     install and compile into the cache, once
    anvil, rpc                          the node
    codec, artifacts, contract          deploy contracts and call them by name
    tokens, assets, people, multicall   what all markets share
    aave, venus, comet, synthetix       the markets, and populations of accounts that use them
    states, kits                        what can become of a market; a market ready for tests
    joint, forks                        a loan posted as margin next door; a deployment as it stands on a fork
    devnet, devnet_book                 several markets and named wallets, with a book that reads them

It shares no code with the package under test. Its sources and their licences: fixtures/chain/README.md.
"""
