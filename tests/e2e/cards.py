"""What the tests of the cards share: find them, hear what axe says of them, compare what they look like."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageFilter
from playwright.sync_api import Locator, Page, expect

from .conftest import Shown, Stage

PICTURES = Path(__file__).parent / "pictures"
# Share of the pixels that may differ, and by how much a pixel may before it counts.
TOLERANCE, SHADE = 0.02, 40
# How often a card is looked at, and how long (ms) between two looks.
LOOKS, PAUSE = 10, 1_000
AXE = files("axe_playwright_python") / "axe.min.js"
VIOLATIONS = """async () => {
    const cards = [];
    const look = (root) => root.querySelectorAll("*").forEach((element) => {
        if (element.localName.startsWith("calvalot-")) cards.push(element);
        if (element.shadowRoot) look(element.shadowRoot);
    });
    look(document);
    const { violations, passes } = await axe.run({ include: cards });
    if (!cards.length || !passes.length) throw new Error("axe saw nothing");
    return violations.map(({ id, nodes }) => [id, ...nodes.map((node) => `${node.html} ${node.failureSummary}`)]);
}"""
# Text that is another one with each run; and a curve, which is too.
CHANGING = (".figure", ".gain > span", "td small", "td > span:not(.bar)", "th small")
CURVE = ".chart svg"
BLANK = """(card, selector) => card.shadowRoot.querySelectorAll(selector).forEach((each) => {
    each.textContent = "0000.00";
})"""


def open_dashboard(page: Page, path: str = "/") -> None:
    """Open the first page and wait until its figures are there."""
    page.goto(path)
    expect(portfolio(page).locator(".value").first).to_contain_text("€")
    expect(portfolio(page).locator(".curve").first).to_be_attached()


@contextmanager
def own_page(stage: Stage, entry_id: str, path: str, *names: str) -> Iterator[None]:
    """Give a portfolio a page `/<path>/own` with some cards; page and portfolio go on leaving."""
    cards = [{"type": f"custom:calvalot-{name}-card", "follower": entry_id} for name in names]
    view = {"path": "own", "type": "sections", "sections": [{"type": "grid", "cards": cards}]}
    created, *_ = stage.home.commands(
        {"type": "lovelace/dashboards/create", "url_path": path, "title": path, "mode": "storage"},
        {"type": "lovelace/config/save", "url_path": path, "config": {"views": [view]}},
    )
    yield
    stage.home.commands({"type": "lovelace/dashboards/delete", "dashboard_id": created["id"]})
    stage.home.delete(f"config/config_entries/entry/{entry_id}")


def portfolio(page: Page) -> Locator:
    """The portfolio card."""
    return page.locator("calvalot-portfolio-card")


def positions(page: Page) -> Locator:
    """The positions card."""
    return page.locator("calvalot-positions-card")


def activity(page: Page) -> Locator:
    """The activity card."""
    return page.locator("calvalot-activity-card")


def newest(page: Page) -> Locator:
    """The newest signal on the page."""
    return activity(page).locator(".item").first


def violations(page: Page) -> Any:
    """Return what axe-core finds wrong with the cards."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    return page.evaluate(VIOLATIONS)


def signal_ids(shown: Shown, limit: int = 1) -> list[str]:
    """Ids of the newest signals in the ledger."""
    told = shown.home.ask("calvalot.get_signals", config_entry_id=shown.entry_id, limit=limit)["signals"]
    return [signal["signal_id"] for signal in told]


def difference(subject: Locator, name: str, *, renew: bool) -> float:
    """Share of a part of the page that differs from its committed picture; what changes with each run is blanked or covered.

    A card that is drawn anew between blanking and the picture shows its figures: then it is looked at once more.
    """
    found = 1.0
    for _ in range(LOOKS):
        subject.evaluate(BLANK, ", ".join(CHANGING))
        taken = subject.screenshot(mask=[subject.locator(CURVE)], mask_color="#808080")
        picture = Image.open(BytesIO(taken)).convert("RGB")
        kept = PICTURES / f"{name}.png"
        if renew:
            PICTURES.mkdir(exist_ok=True)
            picture.save(kept, optimize=True)
        found = _difference(Image.open(kept).convert("RGB"), picture)
        if found <= TOLERANCE:
            break
        subject.page.wait_for_timeout(PAUSE)
    return found


def _difference(before: Image.Image, picture: Image.Image) -> float:
    if abs(before.height - picture.height) > before.height * TOLERANCE or before.width != picture.width:
        return 1.0
    size = (before.width, min(before.height, picture.height))
    blurred = [image.crop((0, 0, *size)).filter(ImageFilter.GaussianBlur(2)) for image in (before, picture)]
    shades = ImageChops.difference(*blurred).convert("L").point(lambda shade: 255 if shade > SHADE else 0)
    return shades.histogram()[255] / (size[0] * size[1])
