"""gTrade (Gains Network): the double of its diamond, with traders."""
