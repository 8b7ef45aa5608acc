"""How long a browser needs until the dashboard shows its figures, with 5,000 trades and two years of history."""

import argparse
from datetime import timedelta
import json
import os
from statistics import median
import sys
import time

from playwright.sync_api import Page, sync_playwright

from demo.history import Story, seed_history
from harness.dashboard import URL_PATH, show_dashboard
from harness.database import rows
from harness.forms import add_follower, entities
from harness.home import Home, running_home
from harness.process import free_port
from harness.simulated import simulators

BOUND = 1.0
STORY = Story(
    days=730, signal_days=(0.1, 0.36), step=timedelta(hours=6), flows=((58, "250", "Savings"), (318, "100", "Savings"))
)
# Seconds since the module of the cards ran, or since the click, until value, curve, a coin and a signal are painted.
PAINTED = """(start) => new Promise((resolve) => {
    const find = (root, name) => {
        for (const each of root.querySelectorAll("*")) {
            const found = each.localName === name ? each : each.shadowRoot && find(each.shadowRoot, name);
            if (found) return found;
        }
    };
    const shown = (name, selector) => find(document, name)?.shadowRoot?.querySelector(selector);
    const look = () => {
        const there = shown("calvalot-portfolio-card", ".value")?.textContent.includes("€")
            && shown("calvalot-portfolio-card", ".curve")?.getAttribute("d")
            && shown("calvalot-positions-card", "tbody tr")
            && shown("calvalot-activity-card", ".item");
        if (there) requestAnimationFrame(() => resolve((performance.now() - start) / 1000));
        else requestAnimationFrame(look);
    };
    look();
})"""
LOADED = "performance.getEntriesByType('resource').find(({ name }) => name.endsWith('/calvalot.js')).responseEnd"


def measure(home: Home, times: int) -> dict[str, list[float]]:
    """Seconds of each of several times: opened from another page, and the whole page loaded anew."""
    figures: dict[str, list[float]] = {"opened": [], "loaded": [], "of them cards": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CALVALOT_BROWSER"])
        page = browser.new_page(base_url=home.url, viewport={"width": 1280, "height": 1160}, service_workers="block")
        page.goto("/")  # logs in
        page.locator("calvalot-portfolio-card .curve").wait_for()
        for _ in range(times):
            figures["opened"].append(_opened(page))
            page.goto(f"/{URL_PATH}")
            figures["loaded"].append(page.evaluate(PAINTED, 0))
            cards = page.evaluate(LOADED)
            figures["of them cards"].append(figures["loaded"][-1] - cards / 1000)
        browser.close()
    return figures


def _opened(page: Page) -> float:
    page.goto("/config/dashboard")
    page.locator("ha-config-dashboard ha-card").first.wait_for()
    link = page.locator(f"ha-sidebar a[href='/{URL_PATH}']")
    link.wait_for()
    time.sleep(1)
    start: float = link.evaluate("(link) => { const now = performance.now(); link.click(); return now; }")
    return float(page.evaluate(PAINTED, start))


def main() -> int:
    """Print a table; return 1 where the bound is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_paint", description=__doc__)
    parser.add_argument("--times", type=int, default=7, help="how often (7)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    with simulators() as (leader, exchange), running_home(free_port()) as home:
        entry_id = add_follower(home, leader, exchange, live=False)
        ids = entities(home, entry_id)
        seed_history(home, leader, exchange, entry_id, ids, language="en", story=STORY)
        show_dashboard(home)
        ((trades,),) = rows(
            home.folder / "calvalot" / f"{entry_id}.db", "SELECT count(*) FROM orders WHERE state = 'booked'"
        )
        figures = measure(home, arguments.times)
    result = {name: median(seconds) for name, seconds in figures.items()}
    if arguments.json:
        print(json.dumps({"trades": trades, "days": STORY.days, **result}))
    else:
        print(f"{trades} trades, {STORY.days} days of history; median of {arguments.times}, in seconds")
        for name, seconds in result.items():
            print(f"  {name:15} {seconds:.2f}   ({min(figures[name]):.2f} to {max(figures[name]):.2f})")
    return 0 if result["opened"] < BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
