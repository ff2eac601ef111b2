"""The terminal with a provider of the tests: `python with_provider.py FILE WORD ...`.

FILE is where that provider keeps what it did.
"""

import sys
from pathlib import Path

# As pytest does: behind the installed packages, so that these are what is run.
sys.path.append(str(Path(__file__).parents[1]))

from cli.main import main
from cli.session import Session
from support.providers import FileProvider, providers

if __name__ == "__main__":
    provider = FileProvider(Path(sys.argv.pop(1)))
    Session.providers = lambda self: providers(provider)  # type: ignore[method-assign]
    main()
