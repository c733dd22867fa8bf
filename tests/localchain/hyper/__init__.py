"""A double of HyperCore: its state in Python, its read precompiles on a node of this machine, its info service on the loopback."""
