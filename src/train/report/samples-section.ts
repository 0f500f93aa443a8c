/** @file The section of the report that shows what a run wrote after each prompt at different steps. */
import { formatCount } from "../../messages/numbers.ts";
import type { LogEntry } from "../logs/log-format.ts";
import { type Html, html } from "./html.ts";

/** A generated text, and the step after which it was written. */
interface Written {
  readonly step: number;
  readonly text: string;
}

/** Shows the samples of a log by prompt; empty if there are none. */
export function samplesOf(history: readonly LogEntry[]): Html {
  const byPrompt = new Map<number, { readonly prompt: string; readonly written: Written[] }>();
  for (const entry of history) {
    if (entry["event"] !== "sample") continue;
    const index = Number(entry["index"]);
    const { prompt, written } = byPrompt.get(index) ?? { prompt: String(entry["prompt"]), written: [] };
    written.push({ step: Number(entry["step"]), text: String(entry["text"]) });
    byPrompt.set(index, { prompt, written });
  }
  if (byPrompt.size === 0) return html``;
  return html`<h2>Samples</h2>
    ${[...byPrompt.values()].map(({ prompt, written }) => cardOf(prompt, written))}`;
}

function cardOf(prompt: string, written: readonly Written[]): Html {
  const rows = written.map(
    ({ step, text }) =>
      html`<tr>
        <th scope="row">step ${formatCount(step)}</th>
        <td><div class="text">${text}</div></td>
      </tr>`,
  );
  return html`<div class="card sample">
    <div class="text prompt">${prompt}</div>
    <table>
      ${rows}
    </table>
  </div>`;
}
