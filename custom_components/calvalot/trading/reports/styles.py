"""Colours of a report, and the style sheet of its page."""

INK = "#1c1c1e"
QUIET = "#5f6368"
LINE = "#d9dce1"
ACCENT = "#1a56c4"
RISE = "#1a7f4b"
FALL = "#c0362c"
BAND = "#f4f6f9"


def shade(heat: float) -> str:
    """Colour of a cell, from -1 (red) over white to 1 (green)."""
    red, green, blue = (int((RISE if heat > 0 else FALL)[at : at + 2], 16) for at in (1, 3, 5))
    share = 0.1 + 0.45 * abs(heat) if heat else 0.0
    return "#" + "".join(f"{round(255 - (255 - part) * share):02x}" for part in (red, green, blue))


SHEET = f"""
@page {{ size: A4; margin: 14mm 14mm 16mm }}
* {{ box-sizing: border-box }}
body {{ margin: 0 auto; padding: 24px 16px; max-width: 190mm; color: {INK}; background: #fff;
  font: 13px/1.45 "Helvetica Neue", Helvetica, Arial, sans-serif }}
header {{ border-bottom: 2px solid {ACCENT}; padding-bottom: 8px; display: flex; flex-wrap: wrap; gap: 4px 16px;
  align-items: baseline }}
h1 {{ font-size: 22px; margin: 0; overflow-wrap: anywhere }}
header p {{ margin: 0; font-size: 15px }}
.mode {{ margin-left: auto; color: {QUIET} }}
h2 {{ font-size: 15px; margin: 22px 0 6px; break-after: avoid }}
h3 {{ font-size: 12px; margin: 10px 0 2px; color: {QUIET}; font-weight: normal }}
dl {{ display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px 16px; margin: 14px 0 0 }}
dt {{ color: {QUIET}; font-size: 12px }}
dd {{ margin: 0; font-size: 16px; font-variant-numeric: tabular-nums }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin-bottom: 8px }}
th {{ text-align: right; color: {QUIET}; font-weight: normal; font-size: 12px; border-bottom: 1px solid {LINE} }}
td {{ text-align: right; border-bottom: 1px solid {LINE}; print-color-adjust: exact; -webkit-print-color-adjust: exact }}
th, td {{ padding: 3px 6px; vertical-align: top }}
th:first-child, td:first-child, .texts td, .texts th {{ text-align: left }}
tr {{ break-inside: avoid }}
svg {{ width: 100%; height: auto; display: block }}
svg text {{ font-size: 8px; fill: {QUIET} }}
p.note, footer {{ color: {QUIET}; font-size: 12px; margin: 4px 0 0 }}
footer {{ border-top: 1px solid {LINE}; margin-top: 24px; padding-top: 8px }}
@media (max-width: 480px) {{ dl {{ grid-template-columns: repeat(2, 1fr) }} }}
@media print {{ body {{ padding: 0; max-width: none; font-size: 11px }} .wide {{ overflow: visible }} }}
"""
