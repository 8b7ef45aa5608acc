const words = JSON.parse(document.getElementById("words").textContent);
const page = document.getElementById("page");
const language = document.documentElement.lang;
const utf8 = new TextEncoder();
const PERIODS = ["7d", "14d", "30d", "60d", "90d", "180d", "1y", "2y", "this_year", "since_start"];

// SHA-256 by itself: over plain http a browser has none.
const K = [];
const H = [];
for (let n = 2; K.length < 64; n++) {
  let prime = true;
  for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
  if (!prime) continue;
  if (H.length < 8) H.push(Math.floor((n ** (1 / 2) % 1) * 2 ** 32));
  K.push(Math.floor((n ** (1 / 3) % 1) * 2 ** 32));
}

function sha256(bytes) {
  const length = bytes.length;
  const padded = new Uint8Array(((length + 9 + 63) >> 6) << 6);
  padded.set(bytes);
  padded[length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(length / 2 ** 29));
  view.setUint32(padded.length - 4, (length << 3) >>> 0);
  const hash = [...H];
  const w = new Uint32Array(64);
  const turn = (x, n) => (x >>> n) | (x << (32 - n));
  for (let at = 0; at < padded.length; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const a = w[i - 15];
      const b = w[i - 2];
      const one = turn(a, 7) ^ turn(a, 18) ^ (a >>> 3);
      const two = turn(b, 17) ^ turn(b, 19) ^ (b >>> 10);
      w[i] = (w[i - 16] + one + w[i - 7] + two) | 0;
    }
    let [a, b, c, d, e, f, g, h] = hash;
    for (let i = 0; i < 64; i++) {
      const t = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const u = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t) | 0, c, b, a, (t + u) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((x, i) => {
      hash[i] = (hash[i] + x) | 0;
    });
  }
  const out = new DataView(new ArrayBuffer(32));
  hash.forEach((x, i) => {
    out.setUint32(4 * i, x >>> 0);
  });
  return new Uint8Array(out.buffer);
}

const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

function hmac(secret, message) {
  let key = utf8.encode(secret);
  if (key.length > 64) key = sha256(key);
  const pad = (value) => Uint8Array.from({ length: 64 }, (_, i) => (key[i] ?? 0) ^ value);
  const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
  return hex(sha256(join(pad(0x5c), sha256(join(pad(0x36), message)))));
}

function bytesOf(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (char) => char.charCodeAt(0));
}

async function isSigned(key, bytes, signature) {
  if (!crypto.subtle) return null;
  try {
    const known = await crypto.subtle.importKey("raw", bytesOf(key), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", known, bytesOf(signature), bytes);
  } catch {
    return null;
  }
}

async function ask(path, secret) {
  const time = String(Math.floor(Date.now() / 1000));
  const answer = await fetch(`${location.pathname.replace(/\/$/, "")}/${path}`, {
    headers: { "X-Signal-Timestamp": time, "X-Signal-Signature": hmac(secret, utf8.encode(time)) },
    cache: "no-store",
  });
  if (!answer.ok) throw new Error(String(answer.status));
  const body = new Uint8Array(await answer.arrayBuffer());
  if (answer.headers.get("X-Signal-Signature") !== hmac(secret, body)) throw new Error("signature");
  return JSON.parse(new TextDecoder().decode(body));
}

async function chain(secret, key, leader) {
  const links = [];
  let previous = "0".repeat(64);
  let signed = true;
  for (;;) {
    const piece = (await ask(`api/signal/chain?after=${links.length}`, secret)).links;
    if (!piece.length) return { links, previous, signed };
    for (const wire of piece) {
      const bytes = bytesOf(wire.signed);
      const link = JSON.parse(new TextDecoder().decode(bytes));
      const holds = await isSigned(key, bytes, wire.signature);
      if (link.previous !== previous || link.sequence !== links.length + 1 || link.leader !== leader || holds === false)
        throw new Error("chain");
      signed = signed && holds;
      previous = hex(sha256(bytes));
      links.push(link);
    }
  }
}

// An allocation is taken up as it is published, and left alone until another one is.
function growth(links) {
  let held = {};
  let cash = 1;
  let before = {};
  let id = "";
  let index = 1;
  for (const { shares, prices, signal_id } of links) {
    const coins = Object.keys(held);
    if (coins.every((coin) => before[coin] && prices[coin]))
      held = Object.fromEntries(coins.map((coin) => [coin, (held[coin] * prices[coin]) / before[coin]]));
    index = cash + Object.values(held).reduce((sum, value) => sum + value, 0);
    before = prices;
    if (signal_id !== id) {
      held = Object.fromEntries(Object.entries(shares).map(([coin, share]) => [coin, share * index]));
      cash = index - Object.values(held).reduce((sum, value) => sum + value, 0);
      id = signal_id;
    }
  }
  return 100 * (index - 1);
}

function add(parent, name, text, kind) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return parent.appendChild(node);
}

const number = (value, digits = 2) =>
  value === null || value === undefined
    ? "–"
    : Number(value).toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const percent = (value) =>
  value === null || value === undefined
    ? "–"
    : (Number(value) / 100).toLocaleString(language, { style: "percent", minimumFractionDigits: 2 });
const MONTHS = [...Array(12).keys()];
const month = (index) =>
  new Date(Date.UTC(2000, index)).toLocaleDateString(language, { month: "short", timeZone: "UTC" });
const day = (text) => (text ? new Date(text).toLocaleDateString(language, { timeZone: "UTC" }) : "–");

function table(parent, rows, names) {
  const wide = add(parent, "div", undefined, "wide");
  const whole = add(wide, "table");
  if (names) {
    // Wider than a phone: it has to be scrolled without a mouse, too.
    wide.tabIndex = 0;
    const row = add(add(whole, "thead"), "tr");
    for (const name of names) add(row, "th", name).scope = "col";
  }
  const body = add(whole, "tbody");
  for (const [name, ...cells] of rows) {
    const row = add(body, "tr");
    add(row, "th", name).scope = "row";
    for (const cell of cells) add(row, "td", cell);
  }
}

function show(figures, found, signed) {
  const { own, published, followers } = figures;
  page.replaceChildren();
  add(page, "h1", words.title);
  if (figures.mode === "dry_run") add(page, "p", words.dry_run, "note");
  add(page, "h2", words.published);
  const reckoned = growth(found.links);
  const agrees = published.return === null || Math.abs(reckoned - Number(published.return)) < 0.01;
  add(page, "p", agrees ? words.chain_holds : words.chain_differs, agrees ? "good" : "bad");
  add(page, "p", signed && found.signed ? words.signatures_hold : words.signatures_unchecked, "note");
  table(page, [
    [words.publications, number(found.links.length, 0)],
    [words.since, day(published.since)],
    [words.published_return, percent(reckoned)],
  ]);
  add(page, "p", words.published_note, "note");
  add(page, "h2", words.own);
  add(page, "p", words.own_note, "note");
  table(page, [
    [words.since, day(own.since)],
    ...PERIODS.map((period) => [words[`period_${period}`], percent(own.returns[period])]),
    [words.volatility, percent(own.risk.volatility)],
    [words.risk_class, own.risk.risk_class ?? "–"],
    [words.trades, number(own.trades.closed, 0)],
    [words.win_rate, percent(own.trades.win_rate)],
    [words.holding_days, number(own.trades.holding_days, 1)],
    [words.turnover, percent(own.trades.turnover)],
    [words.executed, percent(own.signals_executed)],
  ]);
  if (own.risk.drawdowns?.length) {
    add(page, "h2", words.falls);
    table(
      page,
      own.risk.drawdowns.map((fall) => [
        `${day(fall.peak)} – ${day(fall.valley)}`,
        percent(-fall.depth),
        fall.recovered ? day(fall.recovered) : words.not_recovered,
      ]),
    );
  }
  if (own.months.length) {
    add(page, "h2", words.months);
    table(
      page,
      own.months.map((year) => [String(year.year), ...Object.values(year.months).map(percent), percent(year.total)]),
      [words.year, ...MONTHS.map(month), words.total],
    );
  }
  add(page, "h2", words.followers);
  table(page, [
    [words.allowed, number(followers.allowed, 0)],
    [words.following, number(followers.following, 0)],
    [words.up_to_date, followers.told ? `${number(followers.up_to_date, 0)} / ${number(followers.told, 0)}` : "–"],
    [words.behind, number(followers.behind, 0)],
  ]);
}

async function main() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const secret = parts.get("secret");
  if (!secret) {
    add(page, "p", words.no_secret, "bad");
    return;
  }
  try {
    const wire = await ask("api/figures", secret);
    const key = parts.get("key") || wire.key;
    const bytes = bytesOf(wire.signed);
    const figures = JSON.parse(new TextDecoder().decode(bytes));
    const holds = await isSigned(key, bytes, wire.signature);
    if (holds === false) throw new Error("chain");
    const found = await chain(secret, key, figures.leader);
    show(figures, found, holds);
  } catch (error) {
    page.replaceChildren();
    add(page, "p", words[`error_${error.message}`] ?? words.error, "bad");
  }
}

main();
