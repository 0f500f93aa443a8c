/**
 * @file The report of a run: one HTML page without network access or scripts. It shows the log, the state and the settings of the run;
 * names and texts from files are escaped.
 */
import type { Fact } from "../../format/cards/model-card.ts";
import { formatCount, formatFixed, formatPercent } from "../../messages/numbers.ts";
import { nameOfNumber } from "../eval-metrics.ts";
import type { StartEvent } from "../events.ts";
import { type LogEntry, entriesOf } from "../logs/log-format.ts";
import type { RunState } from "../loop/run-state.ts";
import { dropBpChart } from "./dropbp-chart.ts";
import { Html, html } from "./html.ts";
import { lossChart } from "./loss-chart.ts";
import { PAGE } from "./palette.ts";
import { drawPanels } from "./panels.ts";
import type { ReportParts } from "./report-parts.ts";
import { samplesOf } from "./samples-section.ts";
import { STYLE } from "./style.ts";
import { tilesOf } from "./tiles.ts";

/** Writes the page. */
export function writeReport(parts: ReportParts): string {
  const { title } = parts;
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <title>${title}</title>
        <style>
          ${new Html(STYLE)}
        </style>
      </head>
      <body>
        <main>
          <header>
            <h1>${title}</h1>
            <p>${chipOf(parts)} <span class="muted">${subtitleOf(parts.start)}</span></p>
          </header>
          <div class="tiles">${tilesOf(parts)}</div>
          ${curvesOf(parts.state)} ${factsOf(parts)} ${nextOf(parts)}
        </main>
      </body>
    </html> `;
  return page.text;
}

/** The charts of the log. */
function curvesOf(state: RunState): Html {
  const { log_history: history, best_global_step: best } = state;
  return html`<h2>Loss</h2>
    <figure class="card scroll">${new Html(lossChart(null, history, PAGE))}</figure>
    <h2>Over the run</h2>
    <div class="charts">
      ${drawPanels(history).map(
        ({ title, svg }) =>
          html`<figure class="card">
            <figcaption>${title}</figcaption>
            ${new Html(svg)}
          </figure>`,
      )}
    </div>
    ${samplesOf(history)} ${evaluationsOf(entriesOf(history, "eval"), best)} ${branchesOf(state)}`;
}

/** The settings, inputs and environment of the run. */
function factsOf(parts: ReportParts): Html {
  const settings = Object.entries(parts.settings).map(([name, value]): Fact => [name, textOf(value)]);
  return html`<div class="two">
      <section>
        <h2>Data</h2>
        <div class="card">${table(dataFacts(parts))}</div>
      </section>
      <section>
        <h2>Environment</h2>
        <div class="card">${table(parts.environment)}</div>
      </section>
    </div>
    <h2>Settings</h2>
    <div class="card">${table(settings)}</div>`;
}

function nextOf({ next }: ReportParts): Html {
  return html`<h2>Next</h2>
    <div class="card">
      ${next.map(
        ([what, command]) =>
          html`<h3>${what}</h3>
            <pre>${command}</pre>`,
      )}
    </div>`;
}

function chipOf({ state, isDone }: ReportParts): Html {
  const { global_step: step, max_steps: total } = state;
  if (!isDone) return html`<span class="chip wait">step ${formatCount(step)} of ${formatCount(total)}</span>`;
  const text = step < total ? `stopped early, after step ${formatCount(step)}` : "complete";
  return html`<span class="chip good">${text}</span>`;
}

function subtitleOf({ task, trainable_parameters: trainable, trainable_share: share }: StartEvent): string {
  return `${task}, ${formatCount(trainable)} trainable parameters, ${formatPercent(share)}`;
}

function evaluationsOf(evaluations: readonly LogEntry[], best: number | null): Html {
  if (evaluations.length === 0) return html``;
  const names = [...new Set(evaluations.flatMap((entry) => Object.keys(entry)))].filter(
    (name) => name !== "event",
  );
  const cell = (value: unknown): string =>
    typeof value !== "number"
      ? ""
      : Number.isInteger(value)
        ? formatCount(value)
        : formatFixed(value, value < 100 ? 4 : 2);
  const rows = evaluations.map(
    (entry) =>
      html`<tr class="${entry["step"] === best ? "best" : ""}">
        ${names.map((name) => html`<td>${cell(entry[name])}</td>`)}
      </tr>`,
  );
  return html`<h2>Evaluations on held-out data</h2>
    <div class="card scroll">
      <table class="numbers">
        <tr>
          ${names.map((name) => html`<th scope="col">${nameOfNumber(name)}</th>`)}
        </tr>
        ${rows}
      </table>
      <p class="muted">The best is in bold.</p>
    </div>`;
}

function branchesOf({ dropbp }: RunState): Html {
  if (dropbp === null) return html``;
  return html`<h2>Branches skipped by DropBP</h2>
    <figure class="card scroll">${new Html(dropBpChart(null, dropbp, PAGE))}</figure>`;
}

function dataFacts({ start, inputs }: ReportParts): Fact[] {
  const { held_out_examples: heldOut } = start;
  return [
    ["examples", formatCount(start.examples)],
    ["tokens", `${formatCount(start.tokens)}, of which ${formatCount(start.trained_tokens)} are trained on`],
    ["cut", `${formatCount(start.truncated_examples)} at ${formatCount(start.max_length)} tokens`],
    ["left out", formatCount(start.dropped_examples)],
    ["held out", heldOut === null ? "none" : formatCount(heldOut)],
    ...inputs,
  ];
}

function table(facts: readonly Fact[]): Html {
  return html`<table class="facts">
    ${facts.map(
      ([what, value]) =>
        html`<tr>
          <th scope="row">${what}</th>
          <td>${value}</td>
        </tr>`,
    )}
  </table>`;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
