"""A strict stand-in for Binance Spot: real HTTP on loopback, and it refuses what the real one refuses.

Orders that stay: LIMIT GTC, LIMIT_MAKER, STOP_LOSS(_LIMIT), TAKE_PROFIT(_LIMIT), and pairs of them (orderList/oco) of which one
ends the other. They lock what they need, a pair once; the price fills them as far as the book goes, or sets them off.

As a process: ``python -m simulators.exchange --port 0 --seed 1 --balance USDC=1000`` prints one JSON line
``{"url": …, "api_key": …, "api_secret": …}`` when it listens, and ends on SIGINT or SIGTERM. In a test::

    async with ExchangeSimulator(seed=1, balances={"USDC": "1000"}) as sim:
        sim.url, sim.api_key, sim.api_secret                 # the base URL and the first account's credentials

Amounts and prices may be given as ``Decimal`` or decimal text and come back as ``Decimal``. ``api_key=None`` always
means the first account. Each method marked * is also ``POST /control`` with ``{"do": "<method>", **arguments}``, which
answers ``{"ok": true, "result": …}`` or 400 ``{"ok": false, "error": …}``; amounts are text there.

Options of ``ExchangeSimulator``: ``port`` (0 = any), ``seed``, ``balances``, ``api_key``, ``api_secret``, ``bnb_burn``
(fees in BNB), ``volatility`` (of one step, 0.0005), ``step`` (seconds of server clock between steps; None = the prices
move by control only), ``latency`` (seconds per request), ``weight_limit`` (None = counted, not enforced), ``clock``.

Market
    ``set_price(symbol, price, gap=False)``* moves the coin against all its quotes; with ``gap`` the five-minute average
    lags behind. ``walk(steps=1)``*, ``hold(symbol)``*, ``release(symbol)``* (no walk), ``set_volatility(volatility)``*,
    ``remove_price(symbol, zero=False)``* (left out of the ticker, or "0.00000000"), ``restore_price(symbol)``*,
    ``set_symbol_status(symbol, status)``* (TRADING, HALT, BREAK), ``set_depth(symbol, quote)``* (what the book holds on
    each side, for every order anew; None = deep), ``price(symbol)``*, ``prices()``*, ``symbol(name)`` (its rules, to be
    read or changed), ``list_symbol(rules, price)``, ``delist(symbol)``*,
    ``relist(symbol)``* (as it was).
Accounts
    ``set_balance(asset, free, api_key=None)``*, ``balance(asset, api_key=None)``* (free + locked),
    ``balances(api_key=None)``* (those above zero), ``add_account(api_key, api_secret, balances=None, **settings)``*,
    ``add_key(api_key, api_secret, to=None)``* (another key of one account), ``add_old_orders(symbol, count,
    amount_unknown=False, api_key=None)``* (the owner's own: cancelled, or filled with a negative amount as old ones are),
    ``wipe(balances=None)``* (orders, trades and numbers anew, as on the test network each month),
    ``set_account(api_key=None, **settings)``*; settings: ``bnb_burn``, ``can_trade``, ``reading``, ``spot_trading``,
    ``withdrawals``, ``ip_restrict``, ``ip_allowed``. ``account(api_key=None)``, ``orders`` (everyone's, oldest first),
    ``open_orders(api_key=None)``, ``trades(api_key=None)``, ``trade_against(client_order_id, quantity)``* (somebody takes so
    much of a resting order), ``cancel_order(client_order_id)``* (as its owner does on the exchange's page).
    On its pages the owner also does ``deposit(asset, quantity, status=1)``*, ``withdraw(asset, quantity, fee="0")``*,
    ``convert(from_asset, quantity, to_asset, received)``*, ``sweep_dust(asset, received)``* (into BNB), ``reward(asset,
    quantity)``*, ``trade_by_hand(symbol, side, quantity)``*: the history under /sapi has it, ``set_balance`` it has not.
    ``add_row(kind, row)`` puts a row of whatever content there.
Server
    ``advance(seconds)``* (its clock, ahead or back), ``server_time`` (ms), ``set_latency(seconds)``*,
    ``ban(seconds, status=418)``*, ``set_weight_limit(weight, seconds=60)``* (in each window of so many seconds; who goes on
    asking is banned, for longer each time), ``bans`` (how often), ``set_sapi(available)``* (test networks have none),
    ``new_client()``* (whoever asks from now on was not told to wait),
    ``await stop()`` refuses connections, ``await start()`` listens on the same port again.
Requests
    ``requests`` (each with method, path, params without signature, api_key, time, weight, status, faults; status None =
    no answer), ``count(method=None, path=None)``* (path by its end), ``used_weight``, ``forget_requests()``*,
    ``unheeded`` (requests sent by who had been told to wait: over a connection that brought the word, or ten seconds later).
Faults
    ``fault(kind, *, when="before", method=None, path=None, symbol=None, side=None, api_key=None, count=1, skip=0,
    probability=1, seconds=None, code=None, status=None, message=None, percent=None)``* returns the ``Fault``, whose ``hits`` count;
    ``cancel_fault(fault)``, ``clear_faults()``*, ``faults_injected``. ``path`` is matched by its end, ``count=None`` is for ever. Several faults
    may strike one request: ``late`` goes along with ``drop``.

``when`` is before or after the request is processed (an order: matched). The kinds:

``drop``          closes the connection without an answer
``hang``          stays silent for ``seconds`` (60) of real time, then closes
``slow``          answers as usual ``seconds`` (1) of real time later
``late``          the order is not seen by order, openOrders, allOrders, myTrades for ``seconds`` (10) of server clock
``delayed``       no answer; the order is matched ``seconds`` (5) of server clock later, unless its time stamp is then
                  older than recvWindow + 10 s: such an order never exists
``error``         JSON error ``code`` (-1000) with HTTP ``status`` (what the code usually has) and ``message``
``status``        plain text with HTTP ``status`` (502)
``html``          a page with HTTP ``status`` (403)
``broken_json``   200 with half an answer; ``empty_object`` 200 and ``{}``; ``empty_list`` 200 and ``[]``;
                  ``empty_body`` 200 and nothing
``error_list``    HTTP ``status`` (400) with a list as body
``rate_limit``    HTTP ``status`` (429), code -1003 and ``Retry-After: seconds`` (5)
``wrong_id``      the answer names another clientOrderId; ``status_new``: it says NEW with nothing executed
``halt``, ``delist``, ``jump``  just before an order is matched its pair is halted or delisted, or its price jumps by ``percent`` (5)

Streams
    ``/stream`` speaks WebSocket as the real one does: ``?streams=a/b``, SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS; candles
    (``btcusdc@kline_1m``, of every interval that klines has) and last prices (``btcusdc@miniTicker``), pings, the end after a
    day, limits on streams, messages and connections. What is due is sent every 50 ms, or by ``await streams.flush()``. Faults
    with ``path="/stream"`` refuse a connection. ``streams`` has ``connections``, ``opened``, ``most_at_once``, ``sent``,
    ``injected``, ``cut()``, ``shut_down()``, ``silence(seconds=600)``, and ``fault(kind, *, stream=None, count=1, skip=0)`` for the
    message about a closed candle: ``lose``, ``double``, ``swap`` (it comes after the next one of its stream), ``late_trade`` (without
    its last trade; the history has it), ``broken`` (half of it), ``cut``, ``shutdown``, ``silence`` (all in place of it or with it).

Accounts' streams
    ``/ws-api/v3`` speaks WebSocket: ``userDataStream.subscribe.signature``, then ``executionReport`` for each order that changes and
    ``balanceUpdate`` for what was changed from outside. ``account_streams`` has ``connections``, ``opened``, ``subscribed``, ``sent``,
    ``cut()``, ``end()`` (the subscriptions), ``lose(count=1)`` (the next events), ``refuse(code)`` (the next subscription).

``GET /control/state`` shows server time, prices, accounts (balances, orders, trades), request counts and faults; with
``?log=1`` every request too. Control requests are neither logged nor weighed nor subject to faults.
"""

from .faults import Fault, FaultKind
from .server import ExchangeSimulator

__all__ = ["ExchangeSimulator", "Fault", "FaultKind"]
