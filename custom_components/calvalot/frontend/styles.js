// How the cards look: Home Assistant's own variables, so that any theme fits.

const CSS = `
:host { display: block; height: 100%; container-type: inline-size; }
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
ha-card, dialog {
  --up: color-mix(in srgb, var(--success-color, #43a047) 62%, var(--primary-text-color));
  --down: color-mix(in srgb, var(--error-color, #db4437) 58%, var(--primary-text-color));
  --warn: color-mix(in srgb, var(--warning-color, #ffa600) 55%, var(--primary-text-color));
  --line: var(--calvalot-curve-color, var(--primary-color));
  --live: color-mix(in srgb, var(--error-color, #db4437) 70%, var(--primary-text-color));
  --soft: color-mix(in srgb, var(--primary-text-color) 7%, transparent);
  --quiet: color-mix(in srgb, var(--secondary-text-color) 80%, var(--primary-text-color));
  color: var(--primary-text-color); font-variant-numeric: tabular-nums;
}
ha-card { display: flex; flex-direction: column; height: 100%; overflow: hidden; }
ha-card.live { border-top: 3px solid var(--live); }
ha-card.stale { --up: var(--quiet); --down: var(--quiet); --line: var(--disabled-color, #9e9e9e); }
.stale .value, .stale td { color: var(--quiet); }
.body { padding: 16px 20px 20px; display: flex; flex-direction: column; gap: 14px; min-height: 0; flex: 1; }
.header { display: flex; align-items: center; gap: 8px 12px; flex-wrap: wrap; }
h2 { font-size: var(--ha-font-size-l, 16px); font-weight: var(--ha-font-weight-medium, 500); margin: 0; flex: 1 1 7em; min-width: 0; overflow-wrap: anywhere; }
h3 { font-size: 12px; font-weight: 600; margin: 12px 0 4px; color: var(--quiet); }
p { margin: 0; }
ul, ol, dl, dd { margin: 0; padding: 0; list-style: none; }
button { font: inherit; color: inherit; cursor: pointer; background: none; border: 0; padding: 0; }
button:disabled { cursor: default; opacity: 0.55; }
:focus-visible { outline: 2px solid var(--primary-color); outline-offset: 2px; border-radius: 6px; }
.figure { text-align: inherit; letter-spacing: inherit; line-height: inherit; font-weight: inherit; } .figure:hover { text-decoration: underline dotted; text-underline-offset: 0.2em; }
.term { text-align: left; text-decoration: underline dotted; text-underline-offset: 0.25em; text-decoration-thickness: 1px; }
.note { font-size: 12px !important; font-weight: 400 !important; color: var(--quiet); grid-column: 1 / -1; } .note[hidden], [data-fact][hidden], .gain [hidden], .periods [hidden] { display: none; }
.sign { width: 1em; height: 1em; fill: currentColor; flex: none; }
.quiet { color: var(--quiet); }
.up, button.up { color: var(--up); } .down, button.down { color: var(--down); }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.message { display: flex; gap: 12px; align-items: center; padding: 18px 4px; color: var(--quiet); }
.message .sign { width: 28px; height: 28px; color: var(--warn); }
.mode { padding: 2px 10px; border-radius: 6px; font-size: 12px; line-height: 18px; font-weight: 500; border: 1px dashed var(--secondary-text-color); color: var(--quiet); }
.mode.live { border: 1px solid var(--live); background: var(--live); color: var(--ha-card-background, var(--card-background-color, #fff)); }
.notices { display: grid; gap: 6px; font-size: 13px; } .notices:empty { display: none; }
.notices p { display: flex; gap: 10px; align-items: center; padding: 8px 12px; border-radius: 10px; background: color-mix(in srgb, var(--warning-color, #ffa600) 12%, transparent); }
.notices .sign { width: 20px; height: 20px; color: var(--warn); }
.chips { display: flex; flex-wrap: wrap; gap: 6px; }
.chip { display: inline-flex; align-items: center; gap: 6px; padding: 3px 10px; border-radius: 999px; background: var(--soft); font-size: 12px; line-height: 18px; white-space: nowrap; }
.chip::before { content: ""; width: 8px; height: 8px; border-radius: 50%; background: var(--dot, var(--disabled-color, #bdbdbd)); }
.chip.good { --dot: var(--success-color, #43a047); }
.chip.bad { --dot: var(--error-color, #db4437); }
.chip.warn { --dot: var(--warning-color, #ffa600); }
.act { display: inline-flex; align-items: center; justify-content: center; gap: 6px; min-height: 36px; padding: 0 14px; border-radius: 999px; background: var(--soft); font-size: 13px; font-weight: 500; }
.act:hover:not(:disabled) { background: color-mix(in srgb, var(--primary-text-color) 13%, transparent); }
.act.danger { color: var(--down); background: color-mix(in srgb, var(--error-color, #db4437) 14%, transparent); }
a.act { color: inherit; text-decoration: none; }
.act.strong { background: color-mix(in srgb, var(--primary-color) 24%, transparent); } .act.strong:hover:not(:disabled) { background: color-mix(in srgb, var(--primary-color) 34%, transparent); }
.act.danger:hover:not(:disabled) { background: color-mix(in srgb, var(--error-color, #db4437) 22%, transparent); }

/* Portfolio */
.head { display: flex; flex-wrap: wrap; align-items: flex-end; justify-content: space-between; gap: 8px 24px; }
.value { font-size: clamp(30px, 8cqi, 42px); line-height: 1.1; font-weight: 500; letter-spacing: -0.02em; }
.gain { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 8px; margin-top: 6px; font-weight: 500; }
.gain .sign { width: 11px; height: 11px; }
.gain .quiet { font-weight: 400; font-size: 13px; }
.of-period > .quiet { display: block; font-size: 12px; text-align: right; }
.of-period dl { display: flex; flex-wrap: wrap; gap: 2px 18px; margin-top: 2px; }
.of-period dl div { display: flex; align-items: baseline; gap: 6px; } .of-period dt { font-size: 13px; color: var(--quiet); } .of-period dd { font-weight: 500; }
.chart { position: relative; height: 230px; margin: 0 0 0 -6px; touch-action: pan-y; cursor: crosshair; }
.chart svg { width: 100%; height: 100%; display: block; }
.curve { fill: none; stroke: var(--line); stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
.paid { fill: none; stroke: var(--secondary-text-color); stroke-width: 1.25; stroke-dasharray: 3 4; opacity: 0.85; }
.fade-top { stop-color: var(--line); stop-opacity: 0.28; } .fade-end { stop-color: var(--line); stop-opacity: 0; }
.grid { stroke: var(--divider-color); stroke-width: 1; opacity: 0.7; }
.label { font-size: 11px; fill: var(--quiet); paint-order: stroke; stroke: var(--ha-card-background, var(--card-background-color)); stroke-width: 3px; stroke-linejoin: round; }
.middle { text-anchor: middle; } .right { text-anchor: end; }
.halo { fill: var(--line); opacity: 0.2; } .now { fill: var(--line); }
.flow circle { fill: var(--ha-card-background, var(--card-background-color, #fff)); stroke-width: 1.5; }
.flow path { stroke-width: 1.75; fill: none; }
.flow.in { stroke: var(--up); } .flow.out { stroke: var(--down); }
.cursor line { stroke: var(--secondary-text-color); stroke-width: 1; stroke-dasharray: 2 3; }
.cursor circle { fill: var(--line); stroke: var(--ha-card-background, var(--card-background-color, #fff)); stroke-width: 2; }
.tip { position: absolute; top: -10px; transform: translateX(-50%); display: grid; padding: 6px 10px; border-radius: 10px; white-space: nowrap; pointer-events: none; font-size: 12px; line-height: 17px; background: var(--primary-text-color); color: var(--ha-card-background, var(--card-background-color, #fff)); }
.tip[hidden] { display: none; }
.tip strong { font-size: 14px; } .tip em:empty { display: none; } .tip em { font-style: normal; }
.below { position: relative; display: flex; flex-wrap: wrap; justify-content: space-between; align-items: center; gap: 8px; }
.legend { display: flex; gap: 14px; font-size: 12px; color: var(--quiet); }
.legend span { display: inline-flex; align-items: center; gap: 6px; } .legend span[hidden] { display: none; }
.legend i { width: 16px; border-top: 2.25px solid var(--line); } .legend .dashed { border-top: 1.5px dashed var(--secondary-text-color); }
.periods { display: flex; gap: 2px; padding: 3px; border-radius: 999px; background: var(--soft); }
.periods button { min-width: 40px; min-height: 32px; padding: 0 9px; border-radius: 999px; font-size: 12px; font-weight: 500; white-space: nowrap; }
.periods button[aria-pressed="true"] { background: var(--ha-card-background, var(--card-background-color, #fff)); box-shadow: 0 1px 3px rgb(0 0 0 / 22%); }
.empty { position: absolute; inset: 0; display: grid; place-items: center; text-align: center; color: var(--quiet); font-size: 13px; pointer-events: none; }
.parts { font-size: 14px; display: grid; grid-template-columns: minmax(0, 460px); gap: 4px; padding-top: 14px; border-top: 1px solid var(--divider-color); }
.parts div { display: grid; grid-template-columns: 1fr auto; gap: 2px 12px; } .parts dd { text-align: right; } .parts .note { text-align: left; }
.parts [data-fact="profit"] { border-top: 1px solid var(--divider-color); padding-top: 5px; margin-top: 2px; font-weight: 500; }
.parts [data-fact="fees"] { color: var(--quiet); font-size: 13px; padding-left: 14px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(120px, 1fr)); gap: 12px 18px; padding-top: 14px; border-top: 1px solid var(--divider-color); }
.limits { margin: 12px 0 0; font-size: 12px; } .limits:empty { display: none; }
.facts dt { font-size: 12px; color: var(--quiet); } .facts dd { font-size: 15px; font-weight: 500; margin-top: 2px; }

/* Performance */
.performance { display: flex; flex-direction: column; gap: 10px; min-width: 0; } .performance h3 { margin: 8px 0 0; }
.performance .periods { flex-wrap: wrap; border-radius: 18px; } .performance .periods button { flex: 0 1 auto; padding: 0 9px; }
.facts.first { border-top: 0; padding-top: 0; }
.eye[aria-pressed="true"] { background: color-mix(in srgb, var(--primary-color) 24%, transparent); }
.lines { height: 240px; } .lines.low { height: 120px; }
.line { fill: none; stroke: var(--of, var(--line)); stroke-width: 2; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.line.btc { --of: #d07a0c; stroke-dasharray: 6 3; } .line.source { --of: var(--quiet); stroke-dasharray: 2 3; } .line.fall { --of: var(--down); stroke-width: 1.5; }
.legend i.line { border-top: 2.25px solid var(--of, var(--line)); } .legend i.btc { border-top-style: dashed; } .legend i.source { border-top-style: dotted; }
.zero { stroke: var(--secondary-text-color); stroke-width: 1; opacity: 0.6; } .deep { fill: var(--down); opacity: 0.14; }
.cursor-line { stroke: var(--secondary-text-color); stroke-width: 1; stroke-dasharray: 2 3; }
.scroll { overflow-x: auto; }
tbody th { font-weight: 400; padding: 7px 0; border-top: 1px solid var(--divider-color); color: inherit; font-size: 13px; text-align: left; }
.performance td { padding-block: 7px; } tr.chosen :is(td, th) { background: var(--soft); }
.bars-of { display: grid; gap: 4px; font-size: 13px; }
.bars-of div { display: grid; grid-template-columns: minmax(110px, 1fr) 3fr; gap: 12px; align-items: center; }
.bars-of dd { display: grid; grid-template-columns: 1fr 5.5em; gap: 10px; align-items: center; text-align: right; }
.track { position: relative; height: 10px; border-radius: 3px; background: linear-gradient(var(--divider-color), var(--divider-color)) center / 1px 100% no-repeat; }
.track i { position: absolute; inset-block: 0; border-radius: 3px; background: var(--up); } .track i.down { background: var(--down); }
.heat td { text-align: center; padding: 7px 2px; font-size: 12px; color: inherit; background: color-mix(in srgb, var(--tone, transparent) var(--heat, 0%), transparent); }
.heat th { padding: 0 2px 6px; text-align: center; } .heat tbody th { padding: 7px 8px 7px 0; }
.heat .up { --tone: var(--success-color, #43a047); } .heat .down { --tone: var(--error-color, #db4437); } .heat .whole { font-weight: 600; }
.tile { display: grid; grid-template-columns: auto minmax(60px, 1fr); gap: 14px; align-items: center; }
.tile .figure { display: block; font-size: 22px; font-weight: 500; } .tile .quiet { font-size: 12px; }
.spark { display: block; width: 100%; height: 40px; }
.reports { display: grid; } .reports li { display: grid; grid-template-columns: 1fr auto auto auto; gap: 8px; align-items: center; padding: 8px 0; border-top: 1px solid var(--divider-color); }
.export { align-items: center; margin-top: 12px; } .export b { font-weight: 500; } .export[hidden] { display: none; }
.proposed { display: grid; gap: 6px; padding: 10px 12px; border-radius: 10px; background: color-mix(in srgb, var(--primary-color) 10%, transparent); } .proposed[hidden] { display: none; }
.proposal { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; } .proposal p { flex: 1 1 220px; }
.reports b { font-weight: 500; display: block; } .reports small { color: var(--quiet); font-size: 12px; }
@container (max-width: 640px) {
  .heat thead { display: none; } .heat tbody { display: grid; gap: 12px; } .heat tr { display: grid; grid-template-columns: repeat(4, 1fr); gap: 3px; }
  .heat tbody th { grid-column: 1 / -1; border: 0; font-weight: 600; padding: 0; } .heat td { border: 0; border-radius: 6px; }
  .heat td::before { content: attr(data-label); display: block; font-size: 11px; color: var(--quiet); } .heat .whole { grid-column: 1 / -1; }
  .reports li { grid-template-columns: 1fr 1fr 1fr; } .reports li > div { grid-column: 1 / -1; }
}

/* Positions */
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th { font-size: 12px; font-weight: 500; color: var(--quiet); text-align: right; padding: 0 0 6px 12px; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th button { display: inline-flex; align-items: center; gap: 4px; min-height: 28px; }
th .sign { width: 9px; height: 9px; visibility: hidden; }
th[aria-sort="ascending"] .sign, th[aria-sort="descending"] .sign { visibility: visible; }
th[aria-sort="ascending"], th[aria-sort="descending"] { color: var(--primary-text-color); }
td { padding: 9px 0 9px 12px; text-align: right; border-top: 1px solid var(--divider-color); white-space: nowrap; vertical-align: middle; }
td small { display: block; font-size: 12px; color: var(--quiet); line-height: 16px; }
td small.up { color: var(--up); } td small.down { color: var(--down); }
.name { display: flex; align-items: center; gap: 10px; min-width: 0; } .name > div { min-width: 0; } .name small { overflow: hidden; text-overflow: ellipsis; }
.name .coin { width: 32px; height: 32px; flex: none; } .name b { font-weight: 500; display: block; }
.coin-cash { width: 32px; height: 32px; flex: none; border-radius: 50%; background: var(--soft); display: grid; place-items: center; font-size: 16px; color: var(--quiet); }
.bar { position: relative; display: block; width: 100%; min-width: 84px; height: 6px; border-radius: 3px; background: var(--soft); margin-top: 6px; }
.bar i { position: absolute; left: 0; top: 0; bottom: 0; border-radius: 3px; background: var(--bar, var(--line)); }
.bar u { position: absolute; top: -3px; bottom: -3px; width: 2px; margin-left: -1px; border-radius: 1px; background: var(--primary-text-color); }
.weights { display: flex; min-width: 92px; justify-content: space-between; gap: 8px; font-size: 12px; }
tfoot td { border-top-width: 2px; font-weight: 500; }
.aside .bar i { --bar: var(--disabled-color, #9e9e9e) !important; } .aside td, .aside :is(.up, .down) { color: var(--quiet) !important; } .aside .coin { filter: grayscale(1); }
.set-aside { display: grid; gap: 8px; font-size: 13px; } .set-aside:empty { display: none; }
.set-aside p { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; } .set-aside span { flex: 1 1 14em; color: var(--quiet); }
tfoot td small { font-weight: 400; }
.narrow-only { display: none; }
@container (max-width: 640px) {
  .wide-only { display: none; }
  .narrow-only { display: block; }
  .body { padding: 14px 16px 16px; }
  th, td { padding-left: 12px; }
  .bar { min-width: 64px; }
}
@container (max-width: 460px) {
  .coins thead tr { display: flex; justify-content: space-between; gap: 6px; }
  .coins thead th { padding: 0; }
  .coins :is(tbody, tfoot) { display: block; }
  .coins :is(tbody, tfoot) tr { display: grid; grid-template-columns: minmax(0, 1fr) auto minmax(72px, auto); border-top: 1px solid var(--divider-color); padding: 9px 0; }
  .coins td { border: 0; padding: 0 0 0 12px; }
  .coins td:first-child { padding: 0; }
  .coins td.weight { grid-row: 2; grid-column: 1 / -1; display: flex; align-items: center; gap: 10px; padding: 6px 0 0 42px; }
  .weight .bar { margin: 0; flex: 1; min-width: 0; }
  .coins tfoot tr { border-top-width: 2px; }
  .coins tfoot td.weight { display: none; }
  .chart { height: 190px; }
  .periods { width: 100%; justify-content: space-between; }
  .periods button { flex: 1; padding: 0 2px; min-width: 0; }
  .of-period > .quiet { text-align: left; }
  .facts { grid-template-columns: 1fr 1fr; }
}

/* Activity */
.scroller { overflow-y: auto; max-height: var(--calvalot-activity-height, 640px); margin: 0 -20px -20px; padding: 0 20px 12px; overscroll-behavior: contain; position: relative; }
.item { display: grid; grid-template-columns: 30px minmax(0, 1fr); gap: 0 12px; padding: 12px 0; border-top: 1px solid var(--divider-color); }
.item:first-child { border-top: 0; }
.mark { width: 30px; height: 30px; border-radius: 50%; display: grid; place-items: center; background: var(--soft); color: var(--quiet); font-size: 16px; }
.mark.executed { color: var(--up); background: color-mix(in srgb, var(--success-color, #43a047) 16%, transparent); }
.mark.partial, .mark.open, .mark.waiting { color: var(--warn); background: color-mix(in srgb, var(--warning-color, #ffa600) 18%, transparent); }
.mark.rejected, .mark.error { color: var(--down); background: color-mix(in srgb, var(--error-color, #db4437) 15%, transparent); }
.line { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 0 10px; }
.line b { font-weight: 500; } .line time { font-size: 12px; color: var(--quiet); white-space: nowrap; }
.reasoning { margin-top: 4px; font-size: 13px; line-height: 19px; color: var(--quiet); white-space: pre-line; overflow-wrap: anywhere; }
.item:not(.opened) .reasoning { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; }
.tags { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 8px; }
.tag { display: inline-flex; gap: 5px; padding: 2px 8px; border-radius: 6px; font-size: 12px; line-height: 18px; background: var(--soft); white-space: nowrap; }
.tag b { font-weight: 600; }
.foot { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 4px 12px; margin-top: 6px; font-size: 12px; color: var(--quiet); }
.meter { display: inline-flex; align-items: center; gap: 8px; }
.meter i { width: 56px; height: 4px; border-radius: 2px; background: linear-gradient(90deg, var(--line) var(--level), var(--soft) var(--level)); }
.unfold { display: inline-flex; align-items: center; gap: 2px; min-height: 28px; font-size: 12px; font-weight: 500; color: var(--primary-text-color); }
.unfold .sign { width: 18px; height: 18px; transition: transform 0.15s; } .unfold[aria-expanded="true"] .sign { transform: rotate(180deg); }
.more { grid-column: 2; font-size: 13px; }
.more[hidden] { display: none; }
.more table { font-size: 12px; } .more td { padding: 5px 0 5px 10px; } .more td:first-child { padding-left: 0; }
.more li { padding: 2px 0; } .more code { font-size: 11px; color: var(--quiet); overflow-wrap: anywhere; }
.why { margin-top: 4px; font-size: 13px; line-height: 19px; overflow-wrap: anywhere; }
.mark.moved { color: var(--primary-text-color); }
.ask { padding: 14px; border-radius: 12px; border: 1px solid color-mix(in srgb, var(--warning-color, #ffa600) 55%, transparent); background: color-mix(in srgb, var(--warning-color, #ffa600) 12%, transparent); }
.ask h3 { display: flex; align-items: center; gap: 8px; margin: 0 0 4px; font-size: 15px; font-weight: 500; color: inherit; } .until { font-size: 13px; }
.refused { color: var(--down); font-size: 13px; } .refused:empty { display: none; }
.money { display: flex; flex-wrap: wrap; gap: 8px; padding-top: 14px; border-top: 1px solid var(--divider-color); } .money .danger { margin-left: auto; }
.ask .buttons { display: flex; gap: 8px; margin-top: 10px; } .ask .act { flex: 1; }
.end { display: block; width: 100%; padding: 14px 0 6px; text-align: center; font-size: 12px; color: var(--quiet); }
@container (max-width: 640px) { .scroller { margin: 0 -16px -16px; padding: 0 16px 10px; } }

/* Plan */
.editor, .plan { display: grid; gap: 12px; } .editor:empty, .plan:empty, .editor > :empty { display: none; }
.shares li { display: grid; grid-template-columns: minmax(76px, auto) minmax(0, 1fr) auto auto; gap: 4px 12px; align-items: center; padding: 5px 0; border-top: 1px solid var(--divider-color); }
.shares .coin { width: 26px; height: 26px; flex: none; } .shares input[type="range"] { width: 100%; height: 32px; margin: 0; appearance: none; background: linear-gradient(90deg, var(--primary-color) var(--at), color-mix(in srgb, var(--primary-text-color) 16%, transparent) var(--at)) center / 100% 4px no-repeat; }
.shares ::-webkit-slider-thumb { appearance: none; width: 20px; height: 20px; border-radius: 50%; background: var(--primary-color); }
.shares ::-moz-range-thumb { width: 20px; height: 20px; border: 0; border-radius: 50%; background: var(--primary-color); }
.number { display: inline-flex; align-items: center; gap: 4px; } .number input { width: 74px; text-align: right; }
.remove { width: 36px; height: 36px; border-radius: 50%; font-size: 20px; color: var(--quiet); } .remove:hover { background: var(--soft); }
.share-sum { font-weight: 500; padding-top: 8px; border-top: 2px solid var(--divider-color); }
.tools { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; padding-top: 10px; } .add { display: flex; gap: 8px; } .add input { width: 12em; }
.allocation :is(input:not([type="range"]), select), .money select, textarea { font: inherit; min-height: 36px; padding: 4px 10px; border-radius: 10px; border: 1px solid var(--secondary-text-color); background: var(--ha-card-background, var(--card-background-color, #fff)); color: var(--primary-text-color); color-scheme: light dark; min-width: 0; }
textarea { width: 100%; font-family: var(--code-font-family, monospace); resize: vertical; }
.plan-table .coin { width: 26px; height: 26px; } .plan-table .order { white-space: normal; } .plan-table td small { white-space: nowrap; }
@container (max-width: 520px) {
  .plan-table thead { position: absolute; clip-path: inset(50%); }
  .plan-table :is(tbody) { display: block; }
  .plan-table tr { display: grid; grid-template-columns: 1fr auto auto; gap: 0 10px; padding: 9px 0; border-top: 1px solid var(--divider-color); }
  .plan-table td { border: 0; padding: 0; } .plan-table td:nth-child(3)::before, .plan-table td:nth-child(6)::before { content: "→ "; color: var(--quiet); }
  .plan-table td:nth-child(5):not(:empty)::before { content: attr(data-label) " "; color: var(--quiet); }
  .plan-table .order { grid-column: 1 / 2; grid-row: 2; text-align: left; padding-left: 36px; }
  .shares li { grid-template-columns: minmax(0, 1fr) auto auto; } .shares input[type="range"] { grid-row: 2; grid-column: 1 / -1; }
}

/* Market */
.picks { display: flex; flex-wrap: wrap; gap: 8px; justify-content: space-between; } .picks .periods { flex-wrap: wrap; border-radius: 18px; width: auto; }
.picks .periods button { min-width: 36px; flex: none; }
.candles { height: 300px; } .candle { stroke-width: 1.25; stroke: currentColor; fill: currentColor; } .candle.rising rect { fill: var(--ha-card-background, var(--card-background-color, #fff)); }
.candle.rising { color: var(--up); } .candle.falling { color: var(--down); } .candle.unfinished { opacity: 0.55; }
.candles .own { stroke: var(--ha-card-background, var(--card-background-color, #fff)); stroke-width: 1; } .candles .own.buy { fill: var(--up); } .candles .own.sell { fill: var(--down); } .candles .own.signal { fill: var(--line); }
.market-below { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.6fr); gap: 16px 28px; padding-top: 14px; border-top: 1px solid var(--divider-color); }
.market-below h3 { margin-top: 0; }
.lights li { display: grid; grid-template-columns: 14px 3em minmax(0, 1fr); align-items: baseline; gap: 8px; padding: 4px 0; font-size: 13px; }
.lights i { width: 10px; height: 10px; border-radius: 50%; background: var(--dot, var(--disabled-color, #bdbdbd)); } .lights .good { --dot: var(--success-color, #43a047); } .lights .warn { --dot: var(--warning-color, #ffa600); } .lights .warn i { border-radius: 2px; }
.ticker { max-height: 268px; overflow-y: auto; font-size: 13px; } .ticker li { display: grid; grid-template-columns: 5.6em 4em 3em minmax(0, 1fr) auto; gap: 8px; padding: 3px 6px; border-radius: 6px; color: var(--quiet); }
.ticker .closed { color: var(--up); font-weight: 500; background: color-mix(in srgb, var(--success-color, #43a047) 12%, transparent); } .ticker li span:nth-child(n+4) { text-align: right; }
@container (max-width: 640px) { .market-below { grid-template-columns: minmax(0, 1fr); } .candles { height: 240px; } .picks .periods button { padding: 0 7px; } .ticker li { grid-template-columns: 5.2em 3em 2.6em minmax(0, 1fr) auto; gap: 4px; } }

summary { cursor: pointer; padding: 8px 0; font-weight: 500; }

/* Trade */
.order-form { display: grid; gap: 12px; } .order-form label { display: grid; gap: 4px; font-size: 13px; color: var(--quiet); min-width: 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 12px; align-items: end; } .order-form :is(input, select) { width: 100%; font-size: 16px; }
.order-form input[type="range"] { height: 32px; margin: 0; accent-color: var(--primary-color); } .order-form .act { min-height: 44px; }
:is(.open-orders, .held) li { align-items: center; flex-wrap: wrap; } :is(.open-orders, .held) small { display: block; color: var(--quiet); font-size: 12px; }
.held .buttons { display: flex; gap: 6px; } .held .coin { width: 26px; height: 26px; } .held .name { display: flex; gap: 8px; align-items: center; }

/* Dialogs */
dialog { width: min(460px, calc(100vw - 32px)); max-height: calc(100dvh - 48px); overflow-y: auto; padding: 0; border: 0; border-radius: 20px; background: var(--ha-card-background, var(--card-background-color, #fff)); box-shadow: 0 12px 48px rgb(0 0 0 / 40%); font-size: 14px; line-height: 20px; }
dialog::backdrop { background: rgb(0 0 0 / 45%); }
dialog form { display: grid; gap: 16px; padding: 22px; }
dialog h2 { font-size: 18px; line-height: 24px; }
.dialog-body { display: grid; gap: 12px; }
dialog label { display: grid; gap: 4px; font-size: 13px; color: var(--quiet); }
dialog :is(input, select) { font: inherit; font-size: 16px; padding: 10px 12px; border-radius: 10px; border: 1px solid var(--secondary-text-color); background: transparent; color: var(--primary-text-color); color-scheme: light dark; width: 100%; }
dialog small { font-size: 12px; }
dialog .buttons, form .buttons, section .buttons { display: flex; flex-wrap: wrap; gap: 8px; } dialog .buttons { justify-content: flex-end; }
.mode-line { padding: 8px 12px; border-radius: 10px; border: 1px dashed var(--secondary-text-color); } .mode-line.live { border: 1px solid var(--live); color: var(--live); font-weight: 500; }
.rows li { display: flex; justify-content: space-between; gap: 12px; padding: 5px 0; border-top: 1px solid var(--divider-color); } .rows b { font-weight: 500; } .rows span { text-align: right; }
.sum { font-weight: 500; font-size: 16px; }
@media (pointer: coarse) { .scroller { max-height: none; overflow: visible; } }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
`;

export const sheet = new CSSStyleSheet();
sheet.replaceSync(CSS);
