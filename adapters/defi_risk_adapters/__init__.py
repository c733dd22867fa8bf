"""The built-in adapters, one module or folder a venue. See ../README.md to write your own."""
