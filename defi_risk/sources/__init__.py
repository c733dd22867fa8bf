"""The only place that touches the network: nodes, their faults, and the cache of what they said.

chain.py       answers the asks of adapters at one block of one chain, and nothing else is needed from outside
anchor.py      chooses that block
multicall.py   many calls in few requests; finds the one call that breaks them all
packing.py     the two wire formats of many calls in one: Multicall3 and our own executor
executor.py    the code of that executor
logs.py        transfers in the chain's logs
pool.py        several nodes as one: order, agreement, rests, retries
rpc.py         one node: JSON-RPC
faults.py      what a node's refusal means
transport.py   one HTTP exchange within its bounds of time and size, the URL's secrets kept inside
cache.py       bytes on disk, never trusted
clock.py       time, so that tests need not wait for it
"""
