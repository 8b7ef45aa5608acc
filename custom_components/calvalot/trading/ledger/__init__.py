"""The ledger: the only place where money is written down."""
