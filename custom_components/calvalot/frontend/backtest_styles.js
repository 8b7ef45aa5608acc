// How the page of backtests looks, beside what all cards share.

const CSS = `
.runs { display: grid; } .runs li { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 4px 12px; align-items: center; padding: 8px 0; border-top: 1px solid var(--divider-color); }
.runs li.chosen { background: var(--soft); } .runs input { width: 20px; height: 20px; margin: 8px 4px; accent-color: var(--primary-color); }
.runs .open { display: block; width: 100%; text-align: left; min-height: 44px; overflow-wrap: anywhere; } .runs .open:hover b { text-decoration: underline; } .runs b { font-weight: 500; }
.runs small { display: block; color: var(--quiet); font-size: 12px; } .runs .buttons { display: flex; gap: 6px; }
.running { display: grid; gap: 8px; padding: 12px 14px; border-radius: 12px; background: var(--soft); } .running .line { align-items: center; }
progress { width: 100%; height: 10px; accent-color: var(--primary-color); }
.verdict { padding: 10px 12px; border-radius: 10px; background: color-mix(in srgb, var(--warning-color, #ffa600) 14%, transparent); }
.verdict.clean { background: var(--soft); }
.result { display: flex; flex-direction: column; gap: 10px; min-width: 0; padding-top: 14px; border-top: 1px solid var(--divider-color); } .result h3 { margin: 8px 0 0; }
.result h3.titled { font-size: 16px; color: inherit; margin: 0; overflow-wrap: anywhere; } .result td { padding-block: 6px; font-size: 13px; }
.result td.why { white-space: normal; min-width: 9em; margin: 0; font-size: 12px; }
.backtest-form { display: grid; gap: 12px; } .backtest-form .grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 168px), 1fr)); gap: 12px; align-items: end; }
.backtest-form fieldset { border: 0; margin: 0; padding: 0; min-width: 0; display: grid; gap: 8px; } .backtest-form legend { font-size: 13px; color: var(--quiet); padding: 0; }
.backtest-form small { color: var(--quiet); font-size: 12px; }
.traded { stroke: var(--ha-card-background, var(--card-background-color, #fff)); stroke-width: 1; } .traded.bought { fill: var(--up); } .traded.sold { fill: var(--down); }
.line.second { --of: #d07a0c; stroke-dasharray: 6 3; } .line.third { --of: #8b5fbf; stroke-dasharray: 2 3; } .line.fourth { --of: #1f8f7a; stroke-dasharray: 8 3 2 3; }
.legend { flex-wrap: wrap; } .legend i.second { border-top-style: dashed; } .legend i.third, .legend i.fourth { border-top-style: dotted; }
.map td { text-align: center; padding: 7px 4px; font-size: 12px; background: color-mix(in srgb, var(--tone, transparent) var(--heat, 0%), transparent); } .map th { text-align: center; }
.map .up { --tone: var(--success-color, #43a047); color: inherit; } .map .down { --tone: var(--error-color, #db4437); color: inherit; } .map .best { outline: 2px solid var(--primary-text-color); outline-offset: -2px; }
.steps td:last-child { white-space: normal; }
@container (max-width: 640px) { .runs li { grid-template-columns: auto minmax(0, 1fr); } .runs .buttons { grid-column: 2; } }
`;

export const sheet = new CSSStyleSheet();
sheet.replaceSync(CSS);
