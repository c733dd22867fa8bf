"""Venus core 3.1.0, a fork of Compound V2: the deployment, the market and who uses it."""
