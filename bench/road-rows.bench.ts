/**
 * @file How many tokens per second do requests with their own adapters get, by the number of requests, for RoAd and for LoRA of
 * several ranks? Like figure 4 of RoAd's paper (arXiv:2409.00119), on a processor.
 */
import { writeFileSync } from "node:fs";
import { AdapterPool } from "../src/engine/adapters/adapter-pool.ts";
import type { HeldAdapter } from "../src/engine/adapters/held-adapter.ts";
import { ServingEngine } from "../src/engine/serving/serving-engine.ts";
import { loadModel } from "../src/format/by-path.ts";
import { Random } from "../src/random.ts";
import { Session } from "../src/run/session.ts";
import { lineChart } from "../src/train/report/line-chart.ts";
import { PAPER } from "../src/train/report/palette.ts";
import { defineBenchmark } from "./bench.ts";
import { engineOf, THREADS } from "./harness/threads.ts";
import { drawAdapter } from "./draw-adapter.ts";
import { interleave } from "./harness/interleave.ts";
import { MODEL, findModel } from "./harness/peers.ts";
import { median, ratioOf, roundedSpread, showRatio } from "./harness/statistics.ts";
import { madePrompt } from "./serving/made-prompt.ts";
import { readCounts } from "./harness/flags.ts";

const [WIDTH, HEIGHT] = [720, 440];

/** Tokens per second by the number of requests. */
type Speeds = Record<number, { readonly road: readonly number[]; readonly lora: readonly number[] }>;

export const benchmark = defineBenchmark({
  question: "How many tokens a second do requests with adapters of their own get, of RoAd and of LoRA?",
  flags: {
    model: MODEL,
    requests: { value: "1,2,4,8,16,32,64", help: "texts at once, each with its own adapter, with commas" },
    ranks: { value: "8,32,64", help: "ranks of LoRA, with commas" },
    prompt: { value: 8, help: "tokens of a prompt" },
    tokens: { value: 16, help: "new tokens of a text" },
    rounds: { value: 2, help: "runs of each side" },
    threads: THREADS,
    picture: { value: "", help: "file to draw the figure to, as SVG" },
  },
  async run(values, context) {
    // The largest first, so that memory for rows is allocated once.
    const sizes = readCounts("requests", values.requests).sort((a, b) => b - a);
    const ranks = readCounts("ranks", values.ranks);
    const engine = engineOf(values.threads);
    const { base, checkpoint } = await loadModel(await findModel(values.model, context));
    const session = new Session(engine, base, "float32");
    const open = (method: string, options: object): Promise<TextSide> => {
      context.say(`making ${sizes[0]} adapters of ${method} ${JSON.stringify(options)} ready`);
      return openTexts(session, { method, options }, sizes[0] ?? 1, values.prompt);
    };

    const road = await open("road", {});
    const byRank = new Map<number, Speeds>();
    for (const rank of ranks) {
      const lora = await open("lora", { rank });
      const speeds: Speeds = {};
      for (const count of sizes) {
        context.say(`${count} requests, rank ${rank}`);
        const run = (side: TextSide) => (): Promise<number> => side.write(count, values.tokens);
        speeds[count] = await interleave(values.rounds, { road: run(road), lora: run(lora) }, context);
      }
      byRank.set(rank, speeds);
      await lora.close();
    }
    await road.close();
    await session.release();
    await checkpoint.close();
    if (values.picture !== "") writeFileSync(values.picture, draw(byRank));
    return { parameters: { ...values, threads: engine.threads }, ...report(byRank, sizes) };
  },
});

/** Texts with adapters of one method. */
interface TextSide {
  /** Writes `count` texts at once; returns tokens per second. */
  write(count: number, maxNewTokens: number): Promise<number>;
  close(): Promise<void>;
}

async function openTexts(
  session: Session,
  { method, options }: { readonly method: string; readonly options: object },
  most: number,
  length: number,
): Promise<TextSide> {
  const adapters = new AdapterPool({ session, maxLoaded: most });
  const first = await drawAdapter(session.base, method, options, { random: new Random(1) });
  const held: HeldAdapter[] = [];
  // To the engine each is a different adapter, with its own row in memory; only their numbers are equal.
  for (let i = 0; i < most; i++) held.push(await adapters.hold({ ...first }));
  const write = async (count: number, maxNewTokens: number): Promise<number> => {
    const serving = new ServingEngine(session, adapters, { cacheBytes: 1e9, maxRunning: count });
    const startMs = performance.now();
    const texts = held.slice(0, count).map(async (adapter, row) => {
      const promptIds = madePrompt(row, length, session.model.numOutputs);
      for await (const _ of serving.write({ promptIds, maxNewTokens, adapter })) continue;
    });
    await Promise.all(texts);
    const seconds = (performance.now() - startMs) / 1000;
    await serving.close();
    return (count * maxNewTokens) / seconds;
  };
  await write(most, 2);
  return { write, close: () => adapters.close() };
}

/** RoAd's speeds of the runs for all ranks. */
const roadOf = (byRank: ReadonlyMap<number, Speeds>, count: number): number[] =>
  [...byRank.values()].flatMap((speeds) => speeds[count]?.road ?? []);

function report(byRank: ReadonlyMap<number, Speeds>, sizes: readonly number[]) {
  const ascending = sizes.toReversed();
  const rows = ascending.map((count) => [
    String(count),
    median(roadOf(byRank, count)).toFixed(1),
    ...[...byRank.values()].flatMap((speeds) => {
      const { road = [], lora = [] } = speeds[count] ?? {};
      return [median(lora).toFixed(1), showRatio(ratioOf(road, lora))];
    }),
  ]);
  const results = ascending.map((count) => [
    count,
    Object.fromEntries(
      [...byRank].map(([rank, speeds]) => {
        const { road = [], lora = [] } = speeds[count] ?? {};
        const ratio = roundedSpread(ratioOf(road, lora));
        return [`rank_${rank}`, { road: median(road), lora: median(lora), road_over_lora: ratio }];
      }),
    ),
  ]);
  const ranks = [...byRank.keys()].flatMap((rank) => [`LoRA ${rank}`, "RoAd / LoRA"]);
  return {
    table: { head: ["requests", "RoAd tokens/s", ...ranks], rows },
    results: Object.fromEntries(results),
  };
}

/** The figure, as the text of an SVG file. */
function draw(byRank: ReadonlyMap<number, Speeds>): string {
  const counts = Object.keys([...byRank.values()][0] ?? {}).map(Number);
  const line = (name: string, color = PAPER.text, speedOf: (count: number) => number) => ({
    name,
    points: counts.map((count) => [count, speedOf(count)] as const),
    color,
    width: 2.5,
    hasDots: true,
  });
  const [first, ...others] = PAPER.series;
  const lines = [
    line("RoAd", first, (count) => median(roadOf(byRank, count))),
    ...[...byRank].map(([rank, speeds], i) =>
      line(`LoRA ${rank}`, others[i % others.length], (count) => median(speeds[count]?.lora ?? [])),
    ),
  ];
  const across = "requests at once, each with its own adapter";
  const title = "Tokens a second";
  return lineChart({ title, unit: "", across, lines, width: WIDTH, height: HEIGHT, palette: PAPER });
}
