/** @file A picture that compares a training step with PEFT's, from saved results of `graft bench train-step`, and their origin. */
import { existsSync, readFileSync } from "node:fs";
import { NIGHT, PAPER, type Palette } from "../../src/train/report/palette.ts";
import { svgChart } from "../../src/train/report/svg-chart.ts";

export const STEP_PICTURE = "docs/step-beside-peft.svg";

const RESULTS = new URL("../../bench/results/", import.meta.url);
const [WIDTH, HEIGHT, LABELS_WIDTH] = [880, 380, 215];

/** Processors with saved results, and the endings of the names of their files. */
const PROCESSORS = [
  { name: "AMD Zen 5", ending: "-zen5" },
  { name: "AMD Zen 4", ending: "" },
  { name: "AMD Zen 3", ending: "-zen3" },
] as const;

interface Ratio {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

/** The parts of a file of results that are read; ratios are those of graft. */
interface StepResult {
  readonly date: string;
  readonly commit: string;
  readonly machine: { readonly cores: number; readonly memory_gb: number };
  readonly results: {
    readonly speed_ratio: Ratio;
    readonly speed_ratio_checkpointing: Ratio;
    readonly memory_ratio: number;
    readonly memory_ratio_checkpointing: number;
  };
}

interface Shares {
  readonly speed: number;
  readonly memory: number;
}

const ofGraft = ({ results }: StepResult): Shares => ({
  speed: results.speed_ratio.median,
  memory: results.memory_ratio,
});

const ofCheckpointing = ({ results }: StepResult): Shares => ({
  speed: results.speed_ratio.median / results.speed_ratio_checkpointing.median,
  memory: results.memory_ratio / results.memory_ratio_checkpointing,
});

/** Bars from the top: what ran, its file of results, and its numbers as shares of PEFT's. */
const VARIANTS: readonly { name: string; file: string; shares: (result: StepResult) => Shares }[] = [
  { name: "graft, 8-bit products", file: "train-step-int8", shares: ofGraft },
  { name: "graft, float32", file: "train-step", shares: ofGraft },
  { name: "graft, 4-bit file, recomputing", file: "train-step-4bit", shares: ofGraft },
  { name: "PEFT and PyTorch, recomputing", file: "train-step", shares: ofCheckpointing },
  { name: "PEFT and PyTorch", file: "train-step", shares: () => ({ speed: 1, memory: 1 }) },
];

const PANELS = [
  { measure: "speed", title: "speed (PEFT: 1; more is better)", left: LABELS_WIDTH, right: WIDTH / 2 - 100 },
  { measure: "memory", title: "peak memory (PEFT: 1; less is better)", left: WIDTH / 2 + 130, right: 40 },
] as const;

/** Reads a file of results; null: there is none for that processor. */
function readResult(file: string): StepResult | null {
  const path = new URL(`${file}.json`, RESULTS);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as StepResult) : null;
}

function sharesOf(measure: keyof Shares, ending: string): (number | null)[] {
  return VARIANTS.map(({ file, shares }) => {
    const result = readResult(`${file}${ending}`);
    return result && shares(result)[measure];
  });
}

/** Draws the picture; returns the text of an SVG file, which is light or dark as the reader prefers. */
export function stepPicture(): string {
  const { text: color, axis, grid, series } = PAPER;
  const svg = svgChart(
    { title: null, width: WIDTH, height: HEIGHT, palette: PAPER },
    {
      textStyle: { fontFamily: "system-ui, sans-serif" },
      legend: { bottom: 0, itemGap: 24, borderColor: axis, textStyle: { color } },
      grid: PANELS.map(({ left, right }) => ({ left, right, top: 12, bottom: 70 })),
      xAxis: PANELS.map(({ title: name }, gridIndex) => ({
        gridIndex,
        name,
        type: "value",
        min: 0,
        splitNumber: 3,
        nameLocation: "middle",
        nameGap: 28,
        nameTextStyle: { color },
        axisLabel: { color },
        splitLine: { lineStyle: { color: grid } },
      })),
      yAxis: PANELS.map((_, gridIndex) => ({
        gridIndex,
        type: "category",
        inverse: true,
        data: VARIANTS.map(({ name }) => name),
        axisTick: { show: false },
        axisLine: { lineStyle: { color: axis } },
        axisLabel: { show: gridIndex === 0, color },
      })),
      series: PANELS.flatMap(({ measure }, index) =>
        PROCESSORS.map(({ name, ending }, processor) => ({
          name,
          type: "bar",
          silent: true,
          xAxisIndex: index,
          yAxisIndex: index,
          data: sharesOf(measure, ending),
          itemStyle: { color: series[processor] },
          label: { show: true, position: "right", color, formatter: showShare },
        })),
      ),
    },
  );
  return withNight(svg);
}

function showShare({ value }: { readonly value: number }): string {
  return value.toFixed(2);
}

/** Replaces the styles for a mouse by colours for readers who prefer dark; programs without style sheets show it on white. */
function withNight(svg: string): string {
  const colorsOf = ({ background, text, grid, series }: Palette): string[] => {
    return [background, text, grid, ...series.slice(0, PROCESSORS.length)];
  };
  const night = colorsOf(NIGHT);
  const rules = colorsOf(PAPER).flatMap((day, i) =>
    ["fill", "stroke"].map((kind) => `  [${kind}="${day}"] { ${kind}: ${night[i]}; }`),
  );
  const style = `<style>\n@media (prefers-color-scheme: dark) {\n${rules.join("\n")}\n}\n</style>`;
  const still = svg
    .replaceAll(/<style >.*?<\/style>\n?/gs, "")
    .replaceAll(/ (?:class|ecmeta_\w+)="[^"]*"/g, "");
  return `${still.replace(/<svg [^>]*>/, (tag) => `${tag}\n${style}`)}\n`;
}

/** The picture, and a line with the machines and commits of its results, as a part of README.md. */
export function stepPictureLines(): string {
  const told = PROCESSORS.map(({ name, ending }) => {
    const results = VARIANTS.flatMap(({ file }) => readResult(`${file}${ending}`) ?? []);
    const runs = results.map(({ date, commit }) => `${date.slice(0, 10)} at \`${commit.slice(0, 8)}\``);
    const { cores, memory_gb: memory } = results[0]!.machine;
    return `${cores} cores of an ${name} with ${memory} GB (${[...new Set(runs)].join(", ")})`;
  });
  return [
    `![Speed and peak memory of a training step beside PEFT's](${STEP_PICTURE})`,
    "",
    `A LoRA step of SmolLM2-135M-Instruct, 4 × 256 tokens: ${told.join("; ")}. Numbers are those of \`bench/results/train-step*.json\`.`,
  ].join("\n");
}

/** The sentence of README.md about the speed of a step on the first two processors. */
export function stepSpeedLine(): string {
  const [first, second] = PROCESSORS;
  const ratioOf = (file: string, { ending }: { readonly ending: string }): Ratio =>
    readResult(`${file}${ending}`)!.results.speed_ratio;
  const show = ({ median, lowest, highest }: Ratio, how: string): string =>
    `${median.toFixed(1)} times as long as graft's ${how} (${lowest.toFixed(1)} to ${highest.toFixed(1)})`;
  const [int8, float32] = ["train-step-int8", "train-step"].map((file) => ratioOf(file, first));
  const others = ["train-step-int8", "train-step"].map((file) => ratioOf(file, second).median.toFixed(1));
  return (
    `- **Fast.** On the same two cores of an ${first.name}, a training step of PEFT and PyTorch takes ${show(int8!, "with 8-bit products")}, ` +
    `and ${show(float32!, "in float32")}. On a ${second.name.replace("AMD ", "")} it is ${others.join(" and ")} times. ` +
    "[More numbers](#numbers) are below."
  );
}
