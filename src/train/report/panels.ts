/**
 * @file The charts of a report: which numbers of the log share a panel. A number that no panel names gets its own panel; those with a
 * slash in their name share one by the part before it. So the metrics of every objective are drawn.
 */
import { nameOfNumber } from "../eval-metrics.ts";
import type { LogEntry } from "../logs/log-format.ts";
import { type Line, lineChart } from "./line-chart.ts";
import { PAGE } from "./palette.ts";

/** Which numbers a panel draws. */
interface Panel {
  readonly title: string;
  readonly unit: string;
  /** Name in the log → name in the chart. */
  readonly numbers: Readonly<Record<string, string>>;
}

const PANELS: readonly Panel[] = [
  { title: "Learning rate", unit: "", numbers: { learning_rate: "learning rate" } },
  { title: "Gradient norm, before clipping", unit: "", numbers: { grad_norm: "gradient norm" } },
  {
    title: "Speed",
    unit: "tokens/s",
    numbers: { tokens_per_second: "at work", tokens_per_second_with_pauses: "with pauses" },
  },
  { title: "Peak memory so far", unit: "MB", numbers: { peak_mb: "memory" } },
  { title: "Battery", unit: "%", numbers: { battery: "battery" } },
  { title: "Temperature", unit: "°C", numbers: { temperature: "temperature" } },
  { title: "Pause in each step", unit: "ms", numbers: { pause_ms: "pause" } },
  { title: "Energy of each step", unit: "J", numbers: { joules: "energy" } },
  {
    title: "Parameters on disk, in each step",
    unit: "MB",
    numbers: {
      resident_mb: "in memory",
      shards_read_mb: "read",
      shards_written_mb: "written",
      evicted_mb: "evicted",
    },
  },
  { title: "Backward pass skipped by DropBP", unit: "share", numbers: { drop_rate: "left out" } },
  // Not in one panel with rewards: these have no bounds, so a share would look flat.
  { title: "Reward accuracy", unit: "share", numbers: { "rewards/accuracies": "reward accuracy" } },
];
/** Keys that are drawn elsewhere or not worth drawing. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  "event",
  "step",
  "total_steps",
  "epoch",
  "loss",
  "perplexity",
  "tokens",
]);
const [WIDTH, HEIGHT] = [440, 250];
const DASHES = ["solid", "dashed", "dotted", [8, 3, 2, 3]] as const;

/** Draws every panel that the log has numbers for. */
export function drawPanels(history: readonly LogEntry[]): { title: string; svg: string }[] {
  return [...PANELS, ...otherPanels(history)].flatMap((panel) => {
    const lines = linesOf(panel, history);
    if (lines.length === 0) return [];
    const { unit } = panel;
    const title = panel.title + noteOf(lines);
    const svg = lineChart({ title: null, unit, lines, width: WIDTH, height: HEIGHT, palette: PAGE });
    return [{ title, svg }];
  });
}

function otherPanels(history: readonly LogEntry[]): Panel[] {
  const known = new Set([...LEFT_OUT, ...PANELS.flatMap(({ numbers }) => Object.keys(numbers))]);
  const groups = new Map<string, Record<string, string>>();
  for (const entry of history) {
    for (const [name, value] of Object.entries(entry)) {
      if (known.has(name) || typeof value !== "number") continue;
      const at = name.indexOf("/");
      const [group, part] = at < 0 ? [name, name] : [name.slice(0, at), name.slice(at + 1)];
      groups.set(group, { ...groups.get(group), [name]: part });
    }
  }
  return [...groups].map(([group, numbers]) => ({ title: nameOfNumber(group), unit: "", numbers }));
}

/** Notes which lines are on held-out data, if any. */
function noteOf(lines: readonly Line[]): string {
  if (!lines.some(({ hasDots }) => hasDots)) return "";
  return lines.every(({ hasDots }) => hasDots) ? ", held-out" : " (dots: held-out)";
}

/** The lines of a panel; a number has the same colour in training and on held-out data. */
function linesOf({ numbers }: Panel, history: readonly LogEntry[]): Line[] {
  const lines: Line[] = [];
  for (const [i, [key, name]] of Object.entries(numbers).entries()) {
    const [color, dash] = [PAGE.series[i % PAGE.series.length]!, DASHES[i % DASHES.length]!];
    for (const event of ["step", "eval"]) {
      const points = history.flatMap((entry) => {
        const value = entry[key];
        return entry["event"] === event && typeof value === "number" && Number.isFinite(value)
          ? [[Number(entry["step"]), value] as const]
          : [];
      });
      if (points.length === 0) continue;
      lines.push({ name, points, color, dash, width: 1.75, hasDots: event === "eval" });
    }
  }
  return lines;
}
