// What is looked at, for all cards of a browser: one range, and whether amounts are hidden. Kept for the next visit.

export const RANGES = {
  "7d": "range_7d",
  "14d": "range_14d",
  "30d": "range_30d",
  "60d": "range_60d",
  "90d": "range_90d",
  "180d": "range_180d",
  "1y": "range_1y",
  "2y": "range_2y",
  this_year: "range_this_year",
  since_start: "range_since_start",
};
const KEY = "calvalot-look";
const DEFAULT = { range: "30d", hidden: false };

function kept() {
  try {
    const { range, hidden } = JSON.parse(localStorage.getItem(KEY)) ?? {};
    return { range: range in RANGES ? range : DEFAULT.range, hidden: hidden === true };
  } catch {
    return { ...DEFAULT };
  }
}

class Look extends EventTarget {
  constructor() {
    super();
    Object.assign(this, kept());
  }

  change(to) {
    Object.assign(this, to);
    try {
      localStorage.setItem(KEY, JSON.stringify({ range: this.range, hidden: this.hidden }));
    } catch {
      // It holds for this page only.
    }
    this.dispatchEvent(new Event("change"));
  }
}

export const look = new Look();
