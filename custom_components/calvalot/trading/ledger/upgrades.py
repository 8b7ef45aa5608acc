"""What it takes to bring a ledger from one version to the next."""

_TABLES = ("books", "positions", "signals", "orders", "fills", "cash_flows", "closes", "facts")
_COLUMNS = {
    "books": "mode, cash, paid_in, realised, fees, net_deposits, units, unit_price, peak, deepest",
    "positions": "mode, coin, quantity, cost",
    "signals": "seq, mode, signal_id, version, seen_at, created_at, confidence, reasoning, payload, source, asked_at,"
    " result, reason, left_out",
    "orders": "seq, mode, signal_id, coin, symbol, side, leg, attempt, client_order_id, quantity, price, limit_price,"
    " state, created_at, sent_at, order_id, executed_quantity, executed_amount, executed_at, reason",
    "fills": "seq, mode, order_seq, symbol, trade_id, price, quantity, amount, fee, fee_asset, fee_price, time",
    "cash_flows": "seq, mode, kind, amount, amount_quote, time, note, value_before, coin, quantity, after_fill",
    "closes": "mode, day, value, value_quote, net_deposits, units, unit_price, peak, deepest",
    "facts": "mode, key, value",
}
# Books have numbers: all there is belongs to book 1, but for what stops the follower whichever book it uses.
# Orders are renamed before the fills that refer to them are made anew, and dropped after the old fills are gone.
NUMBERED_BOOKS = (
    *(f"ALTER TABLE {table} RENAME TO old_{table}" for table in _TABLES),
    """CREATE TABLE accounts (
        mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL, host TEXT NOT NULL, uid TEXT, key TEXT NOT NULL,
        quote VARCHAR(32) NOT NULL, begun_at VARCHAR(40) NOT NULL, PRIMARY KEY (mode, book))""",
    """CREATE TABLE books (
        mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL, cash TEXT NOT NULL, paid_in TEXT NOT NULL,
        realised TEXT NOT NULL, fees TEXT NOT NULL, net_deposits TEXT, units TEXT NOT NULL, unit_price TEXT NOT NULL,
        peak TEXT NOT NULL, deepest TEXT NOT NULL, PRIMARY KEY (mode, book))""",
    """CREATE TABLE positions (
        mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL, coin VARCHAR(32) NOT NULL, quantity TEXT NOT NULL,
        cost TEXT NOT NULL, PRIMARY KEY (mode, book, coin))""",
    """CREATE TABLE signals (
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL,
        signal_id TEXT NOT NULL, version INTEGER, seen_at VARCHAR(40) NOT NULL, created_at VARCHAR(40), confidence TEXT,
        reasoning TEXT NOT NULL, payload TEXT NOT NULL, source TEXT NOT NULL, asked_at VARCHAR(40),
        result VARCHAR(10) NOT NULL, reason TEXT NOT NULL, left_out TEXT NOT NULL, UNIQUE (mode, book, signal_id))""",
    """CREATE TABLE orders (
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL,
        signal_id TEXT NOT NULL, coin VARCHAR(32) NOT NULL, symbol VARCHAR(48) NOT NULL, side VARCHAR(4) NOT NULL,
        leg INTEGER NOT NULL, attempt INTEGER NOT NULL, client_order_id VARCHAR(36) NOT NULL, quantity TEXT NOT NULL,
        price TEXT, limit_price TEXT, state VARCHAR(10) NOT NULL, created_at VARCHAR(40) NOT NULL, sent_at VARCHAR(40),
        order_id INTEGER, executed_quantity TEXT NOT NULL, executed_amount TEXT NOT NULL, executed_at VARCHAR(40),
        reason TEXT NOT NULL, UNIQUE (mode, book, client_order_id))""",
    """CREATE TABLE fills (
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL,
        order_seq INTEGER NOT NULL, symbol VARCHAR(48) NOT NULL, trade_id INTEGER NOT NULL, price TEXT NOT NULL,
        quantity TEXT NOT NULL, amount TEXT NOT NULL, fee TEXT NOT NULL, fee_asset VARCHAR(32) NOT NULL,
        fee_price TEXT NOT NULL, time VARCHAR(40) NOT NULL, UNIQUE (mode, book, symbol, trade_id),
        FOREIGN KEY(order_seq) REFERENCES orders (seq))""",
    """CREATE TABLE cash_flows (
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL,
        kind VARCHAR(12) NOT NULL, amount TEXT NOT NULL, amount_quote TEXT NOT NULL, time VARCHAR(40) NOT NULL,
        note TEXT NOT NULL, value_before TEXT, coin VARCHAR(32), quantity TEXT, after_fill INTEGER)""",
    """CREATE TABLE closes (
        mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL, day VARCHAR(10) NOT NULL, value TEXT NOT NULL,
        value_quote TEXT NOT NULL, net_deposits TEXT NOT NULL, units TEXT NOT NULL, unit_price TEXT NOT NULL,
        peak TEXT NOT NULL, deepest TEXT NOT NULL, PRIMARY KEY (mode, book, day))""",
    """CREATE TABLE facts (
        mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL, key VARCHAR(40) NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (mode, book, key))""",
    *(
        f"INSERT INTO {table} (book, {columns}) SELECT 1, {columns} FROM old_{table}"  # noqa: S608  # names of our own
        for table, columns in _COLUMNS.items()
    ),
    "UPDATE facts SET book = 0 WHERE key IN ('paused', 'dead', 'restored')",
    *(f"DROP TABLE old_{table}" for table in ("fills", *(table for table in _TABLES if table != "fills"))),
    "CREATE INDEX signals_by_time ON signals (mode, book, seen_at)",
    "CREATE INDEX signals_by_result ON signals (mode, book, result)",
    "CREATE INDEX orders_by_signal ON orders (mode, book, signal_id)",
    "CREATE INDEX orders_by_symbol ON orders (mode, book, symbol, order_id)",
    "CREATE INDEX orders_by_time ON orders (mode, book, executed_at)",
    "CREATE INDEX orders_by_state ON orders (mode, book, state)",
    "CREATE INDEX ix_fills_order_seq ON fills (order_seq)",
    "CREATE INDEX cash_flows_by_time ON cash_flows (mode, book, time)",
)
# Signals say who said them, what they are and what they want, which their id and their version told before. What an older
# version wrote down without what it wants, and can still be traded, waits until its source says it again.
_SOURCE = "CASE WHEN signal_id GLOB 'stop_loss-*' OR signal_id GLOB 'exit-*' OR signal_id = 'recovered' THEN 'portfolio' ELSE 'leader' END"
SOURCES_OF_SIGNALS = (
    "ALTER TABLE signals RENAME TO old_signals",
    """CREATE TABLE signals (
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL,
        source VARCHAR(32) NOT NULL, kind VARCHAR(10) NOT NULL, signal_id TEXT NOT NULL, origin TEXT NOT NULL, wants TEXT,
        seen_at VARCHAR(40) NOT NULL, created_at VARCHAR(40), confidence TEXT, reasoning TEXT NOT NULL,
        asked_at VARCHAR(40), result VARCHAR(10) NOT NULL, reason TEXT NOT NULL, left_out TEXT NOT NULL,
        UNIQUE (mode, book, source, signal_id))""",
    f"""INSERT INTO signals SELECT seq, mode, book, {_SOURCE},
        CASE WHEN signal_id = 'initial_sync' THEN 'joining' WHEN signal_id GLOB 'sync-*' THEN 'sync'
             WHEN signal_id GLOB 'stop_loss-*' THEN 'stop_loss' WHEN signal_id GLOB 'exit-*' THEN 'exit' ELSE 'signal' END,
        signal_id, source,
        CASE WHEN signal_id GLOB 'stop_loss-*' OR signal_id GLOB 'exit-*' THEN '{{"allocation": {{}}}}'
             WHEN wanted IS NOT NULL THEN wanted WHEN version IS NULL OR result IN ('open', 'waiting') THEN NULL
             WHEN version = 1 THEN '{{"moves": []}}' ELSE '{{"allocation": {{}}}}' END,
        seen_at, created_at, confidence, reasoning, asked_at, result, reason, left_out FROM old_signals""",  # noqa: S608  # names of our own
    "DROP TABLE old_signals",
    "CREATE INDEX signals_by_id ON signals (source, signal_id)",
    "CREATE INDEX signals_by_source ON signals (source)",
    "CREATE INDEX signals_by_time ON signals (mode, book, seen_at)",
    "CREATE INDEX signals_by_result ON signals (mode, book, result)",
    "ALTER TABLE sights RENAME TO old_sights",
    """CREATE TABLE sights (
        source VARCHAR(32) NOT NULL, signal_id TEXT NOT NULL, seen_at VARCHAR(40) NOT NULL, PRIMARY KEY (source, signal_id))""",
    "INSERT INTO sights SELECT 'leader', signal_id, seen_at FROM old_sights",
    "DROP TABLE old_sights",
    "ALTER TABLE orders ADD COLUMN source VARCHAR(32) NOT NULL DEFAULT 'leader'",
    f"UPDATE orders SET source = {_SOURCE}",  # noqa: S608
    "DROP INDEX orders_by_signal",
    "CREATE INDEX orders_by_signal ON orders (mode, book, source, signal_id)",
    "ALTER TABLE closes ADD COLUMN valued_at VARCHAR(40)",
)

# Ids of orders and trades are text, orders say their exchange, fills what was traded against what, and what that was worth in
# the book's quote: the same as the amount so far. Up to where the orders of a symbol are known is told by facts alone.
_ORDER = "coin, symbol, side, leg, attempt, client_order_id, quantity, price, limit_price, quote_amount, state, created_at, sent_at"
_EXECUTED = "executed_quantity, executed_amount, executed_at, reason"
IDS_AS_TEXT = (
    "ALTER TABLE orders RENAME TO old_orders",
    "ALTER TABLE fills RENAME TO old_fills",
    """CREATE TABLE orders (
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL,
        exchange VARCHAR(16) NOT NULL, source VARCHAR(32) NOT NULL, signal_id TEXT NOT NULL, coin VARCHAR(32) NOT NULL,
        symbol VARCHAR(48) NOT NULL, side VARCHAR(4) NOT NULL, leg INTEGER NOT NULL, attempt INTEGER NOT NULL,
        client_order_id VARCHAR(36) NOT NULL, quantity TEXT NOT NULL, price TEXT, limit_price TEXT, quote_amount TEXT,
        state VARCHAR(10) NOT NULL, created_at VARCHAR(40) NOT NULL, sent_at VARCHAR(40), order_id TEXT,
        executed_quantity TEXT NOT NULL, executed_amount TEXT NOT NULL, executed_at VARCHAR(40), reason TEXT NOT NULL,
        UNIQUE (mode, book, client_order_id))""",
    """CREATE TABLE fills (
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, mode VARCHAR(8) NOT NULL, book INTEGER NOT NULL,
        order_seq INTEGER NOT NULL, symbol VARCHAR(48) NOT NULL, base VARCHAR(32) NOT NULL, quote VARCHAR(32) NOT NULL,
        trade_id TEXT NOT NULL, price TEXT NOT NULL, quantity TEXT NOT NULL, amount TEXT NOT NULL, value TEXT NOT NULL,
        fee TEXT NOT NULL, fee_asset VARCHAR(32) NOT NULL, fee_price TEXT NOT NULL, time VARCHAR(40) NOT NULL,
        UNIQUE (mode, book, symbol, trade_id), FOREIGN KEY(order_seq) REFERENCES orders (seq))""",
    f"""INSERT INTO orders (seq, mode, book, exchange, source, signal_id, {_ORDER}, order_id, {_EXECUTED})
        SELECT seq, mode, book, 'binance', source, signal_id, {_ORDER},
        CASE WHEN order_id = 0 THEN '' ELSE CAST(order_id AS TEXT) END, {_EXECUTED} FROM old_orders""",  # noqa: S608  # names of our own
    """INSERT INTO fills (seq, mode, book, order_seq, symbol, base, quote, trade_id, price, quantity, amount, value, fee,
        fee_asset, fee_price, time)
        SELECT f.seq, f.mode, f.book, f.order_seq, f.symbol, o.coin, substr(o.symbol, length(o.coin) + 1),
        CASE WHEN f.trade_id < 0 THEN 'by hand ' || -f.trade_id ELSE CAST(f.trade_id AS TEXT) END,
        f.price, f.quantity, f.amount, f.amount, f.fee, f.fee_asset, f.fee_price, f.time
        FROM old_fills AS f JOIN old_orders AS o ON o.seq = f.order_seq""",
    "UPDATE facts SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE key GLOB 'orders_read_*'",
    """INSERT INTO facts (mode, book, key, value)
        SELECT mode, book, 'orders_read_' || symbol, CAST(max(order_id) + 1 AS TEXT) FROM old_orders
        WHERE mode = 'live' AND order_id > 0 GROUP BY mode, book, symbol
        ON CONFLICT (mode, book, key) DO UPDATE SET value = excluded.value
        WHERE CAST(excluded.value AS INTEGER) > CAST(facts.value AS INTEGER)""",
    "DROP TABLE old_fills",
    "DROP TABLE old_orders",
    "CREATE INDEX orders_by_signal ON orders (mode, book, source, signal_id)",
    "CREATE INDEX orders_by_symbol ON orders (mode, book, symbol)",
    "CREATE INDEX orders_by_time ON orders (mode, book, executed_at)",
    "CREATE INDEX orders_by_state ON orders (mode, book, state)",
    "CREATE INDEX ix_fills_order_seq ON fills (order_seq)",
)

# Orders that rest: how long one lasts, what it waits for, which of two ends the other, when its end was asked for.
RESTING_ORDERS = (
    "ALTER TABLE orders ADD COLUMN type VARCHAR(10) NOT NULL DEFAULT 'at_once'",
    "ALTER TABLE orders ADD COLUMN stop_price TEXT",
    "ALTER TABLE orders ADD COLUMN pair VARCHAR(36) NOT NULL DEFAULT ''",
    "ALTER TABLE orders ADD COLUMN cancel_at VARCHAR(40)",
)

# Alerts from outside and what became of them.
ALERTS = (
    """CREATE TABLE alerts (
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, mode VARCHAR(8) NOT NULL, source VARCHAR(32) NOT NULL,
        received_at VARCHAR(40) NOT NULL, told_at VARCHAR(40), digest VARCHAR(64) NOT NULL, format VARCHAR(16) NOT NULL,
        coin VARCHAR(32) NOT NULL, wants TEXT, is_test BOOLEAN NOT NULL, state VARCHAR(10) NOT NULL,
        reason VARCHAR(20) NOT NULL, detail TEXT NOT NULL, signal_id TEXT NOT NULL, repeats INTEGER NOT NULL)""",
    "CREATE INDEX alerts_by_digest ON alerts (mode, source, digest)",
    "CREATE INDEX alerts_by_state ON alerts (mode, state)",
    "CREATE INDEX alerts_by_signal ON alerts (mode, source, signal_id)",
)

# What brings a file from each version to the next; the first entry leads from 1 to 2.
UPGRADES: tuple[tuple[str, ...], ...] = (
    ("ALTER TABLE orders ADD COLUMN price TEXT",),
    ("ALTER TABLE signals ADD COLUMN asked_at VARCHAR(40)",),
    (
        "ALTER TABLE cash_flows ADD COLUMN coin VARCHAR(32)",
        "ALTER TABLE cash_flows ADD COLUMN quantity TEXT",
        "ALTER TABLE cash_flows ADD COLUMN after_fill INTEGER",
    ),
    NUMBERED_BOOKS,
    (
        "ALTER TABLE signals ADD COLUMN wanted TEXT",
        "CREATE INDEX signals_by_id ON signals (signal_id)",
        "CREATE TABLE sights (signal_id TEXT NOT NULL PRIMARY KEY, seen_at VARCHAR(40) NOT NULL)",
        "ALTER TABLE orders ADD COLUMN quote_amount TEXT",
        "ALTER TABLE closes ADD COLUMN prices TEXT",
    ),
    SOURCES_OF_SIGNALS,
    IDS_AS_TEXT,
    (
        """CREATE TABLE past (
            tool VARCHAR(32) NOT NULL, key TEXT NOT NULL, kind VARCHAR(10) NOT NULL, time VARCHAR(40) NOT NULL,
            currency VARCHAR(32) NOT NULL, amount TEXT, coin VARCHAR(32) NOT NULL, side VARCHAR(4), quantity TEXT,
            price TEXT, fee TEXT, simulated BOOLEAN NOT NULL, reference TEXT NOT NULL, note TEXT NOT NULL,
            PRIMARY KEY (tool, key))""",
        "CREATE INDEX past_by_time ON past (time)",
    ),
    RESTING_ORDERS,
    ALERTS,
    ("ALTER TABLE cash_flows ADD COLUMN explanation VARCHAR(12)",),
    # Conversions: what is sold is worth so much in the book's quote.
    ("ALTER TABLE orders ADD COLUMN sold_price TEXT",),
    # What an exchange calls an order that takes no names of ours.
    ("ALTER TABLE orders ADD COLUMN sent_as VARCHAR(36) NOT NULL DEFAULT ''",),
)
VERSION = 1 + len(UPGRADES)
