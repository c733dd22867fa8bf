"""`python -m defi_risk`"""

from defi_risk.cli import main

main()
