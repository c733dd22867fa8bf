"""For authors of adapters: a conformance kit, and a recorder of the replays that it runs on.

from defi_risk.testing import AdapterConformance

class TestMine(AdapterConformance):
    adapter = Mine()
    replays = "mine"  # a folder of recordings, beside the test or in fixtures/replays

python -m defi_risk.testing record mine --rpc URL --wallet 0x... --block N --market chain=ethereum,vault=0x...
"""

from defi_risk.testing.conformance import AdapterConformance, NotConformantError

__all__ = ["AdapterConformance", "NotConformantError"]
