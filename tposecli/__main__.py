"""Makes ``python -m tposecli`` the same as ``tpose``."""

from tposecli.cli.main import main

if __name__ == "__main__":
    main()
