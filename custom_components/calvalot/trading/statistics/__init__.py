"""How a portfolio does: returns by period, risk, what the trades came to; pure but for reading the ledger."""
