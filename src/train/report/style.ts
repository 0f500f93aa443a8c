/** @file The style sheet of a report: for light and dark mode, as the reader prefers, and for print. */
import { NIGHT, PAPER } from "./palette.ts";

const seriesOf = (colors: readonly string[]): string =>
  colors.map((color, i) => `--series-${i + 1}: ${color};`).join(" ");

export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1d2129; --muted: #626a78; --line: #e1e5eb;
  --axis: #9aa2b1; --grid: #e9ecf1; --pale: ${PAPER.pale}; --accent: #2f6fd0;
  ${seriesOf(PAPER.series)}
  --good: #1d7a46; --wait: #8a6100; --good-page: #e3f4ea; --wait-page: #fbf0d4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171c; --card: ${NIGHT.background}; --text: #e6e9ef; --muted: ${NIGHT.text}; --line: #2d333d;
    --axis: ${NIGHT.axis}; --grid: ${NIGHT.grid}; --pale: ${NIGHT.pale}; --accent: #7fb0ff;
    ${seriesOf(NIGHT.series)}
    --good: #7ddba5; --wait: #ecc766; --good-page: #173525; --wait-page: #3a3013;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
header { margin-bottom: 24px; }
h1 { margin: 0 0 6px; font-size: 26px; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 36px 0 12px; font-size: 18px; }
h3 { margin: 0 0 4px; font-size: 14px; font-weight: 600; }
p { margin: 4px 0; }
.muted { color: var(--muted); }
.chip { display: inline-block; padding: 2px 10px; border-radius: 99px; font-size: 13px; font-weight: 600; }
.chip.good { color: var(--good); background: var(--good-page); }
.chip.wait { color: var(--wait); background: var(--wait-page); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 280px), 1fr)); gap: 12px; }
.tile .value { font-size: 23px; font-weight: 650; line-height: 1.35; overflow-wrap: anywhere; }
.tile .label, .tile .note { font-size: 13px; color: var(--muted); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 12px; }
svg { display: block; width: 100%; height: auto; }
figure { margin: 0; }
figcaption { font-weight: 600; font-size: 14px; margin-bottom: 4px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); }
tr:last-child > th, tr:last-child > td { border-bottom: 0; }
th { font-weight: 500; color: var(--muted); }
td { overflow-wrap: anywhere; }
.facts th { width: 34%; }
.numbers td, .numbers th { text-align: right; font-variant-numeric: tabular-nums; }
.numbers tr.best td { font-weight: 650; }
.scroll { overflow-x: auto; }
.scroll > svg { min-width: 560px; }
pre { margin: 6px 0 14px; padding: 10px 12px; overflow-x: auto; background: var(--page); border: 1px solid var(--line);
  border-radius: 8px; font: 13px/1.45 ui-monospace, monospace; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 12px; align-items: start; }
.sample { margin-bottom: 12px; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
.prompt { font-weight: 600; margin-bottom: 6px; }
.sample th { width: 100px; white-space: nowrap; }
summary { cursor: pointer; color: var(--accent); margin: 6px 0; }
@media print {
  body { background: #fff; }
  .card { break-inside: avoid; }
}
`;
