/**
 * @file Runs a benchmark.
 *
 *   npx graft bench                       lists them
 *   npx graft bench NAME [flags]          prints a table and, as the last line of standard output, one JSON object
 *   npx graft bench setup                 installs what graft is compared with
 */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

import { type Row, table } from "../src/cli/help/help-table.ts";
import { columnsOf } from "../src/cli/terminal/screen.ts";
import { PLAIN_WIDTH } from "../src/cli/terminal/terminal.ts";
import { GraftError, UsageError, exitStatus } from "../src/errors.ts";
import { didYouMean } from "../src/messages/nearest.ts";
import type { Benchmark } from "./bench.ts";
import { BUSY_SHARE, readBusyShare, readCommit, whyNotKept } from "./harness/machine.ts";
import { helpText, parseFlags } from "./harness/flags.ts";
import { formatTable, reportOf } from "./harness/report.ts";
import { withScratch } from "./harness/scratch.ts";
import { setUpPeers } from "./harness/setup.ts";

const ENDING = ".bench.ts";
const RESULTS = join(import.meta.dirname, "results");

/** Names of all benchmarks: the files that end in `.bench.ts`. */
export function listBenchmarks(): string[] {
  return readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith(ENDING))
    .map((file) => basename(file, ENDING))
    .sort();
}

/** Loads a benchmark by name. @throws usage/flag when there is none */
export async function loadBenchmark(name: string): Promise<Benchmark> {
  const names = listBenchmarks();
  if (!names.includes(name)) {
    const hint = didYouMean(name, names);
    throw new UsageError(
      "usage/flag",
      `Cannot find benchmark "${name}", expected one of ${names.join(", ")}`,
      hint === null ? {} : { hint },
    );
  }
  const module = (await import(`./${name}${ENDING}`)) as { readonly benchmark: Benchmark };
  return module.benchmark;
}

/** The path for `--save`: a bare name is a file in bench/results/. */
export function resultPath(file: string): string {
  if (basename(file) !== file) return file;
  return join(RESULTS, file.endsWith(".json") ? file : `${file}.json`);
}

async function runBenchmark(name: string, words: readonly string[]): Promise<void> {
  const benchmark = await loadBenchmark(name);
  const { values, save, json, help } = parseFlags(words, benchmark.flags);
  if (help) return showHelp(`${name}: ${benchmark.question}\n\n${helpText(benchmark.flags)}`, json);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const busyShare = await readBusyShare();
  const { ignoresLoad = false } = benchmark;
  const flaw = whyNotKept(readCommit(), busyShare, ignoresLoad);
  if (save !== "" && flaw !== null) {
    throw new UsageError("usage/flag", `Cannot keep results of "${name}": ${flaw}`, {
      hint: "Leave --save out, or start it again when that is mended.",
    });
  }
  if (!ignoresLoad && busyShare > BUSY_SHARE)
    say(
      `warning: other processes use ${Math.round(100 * busyShare)} % of the processors, so the ratios are not fair`,
    );
  const outcome = await withScratch((scratch) => benchmark.run(values, { say, scratch }));
  const report = reportOf(name, { parameters: values, ...outcome }, new Date(), busyShare);
  if (save !== "") {
    const path = resultPath(save);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
  }
  if (!json) process.stdout.write(`${benchmark.question}\n\n${formatTable(outcome.table)}\n\n`);
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

/** Prints a text for people, or as a `help` event. */
function showHelp(text: string, json: boolean): void {
  process.stdout.write(`${json ? JSON.stringify({ event: "help", text }) : text}\n`);
}

/** Lists all benchmarks, at the width of a terminal. */
export async function listLines(width: number): Promise<string[]> {
  const rows: Row[] = [];
  for (const name of listBenchmarks()) rows.push([name, (await loadBenchmark(name)).question]);
  rows.push(["setup", "Installs what graft is compared with, into bench/peers/."]);
  return ["npx graft bench NAME [flags]        (NAME --help shows its flags)", "", ...table(rows, width)];
}

async function showList(json: boolean): Promise<void> {
  showHelp((await listLines(columnsOf(process.stdout) ?? PLAIN_WIDTH)).join("\n"), json);
}

async function main(words: readonly string[], json: boolean): Promise<void> {
  const [name = "--help", ...rest] = words;
  if ([name, ...rest].every((word) => word === "--help" || word === "--json")) return showList(json);
  if (name === "setup") return setUpPeers();
  return runBenchmark(name, rest);
}

if (import.meta.main) {
  const words = process.argv.slice(2);
  const json = words.includes("--json");
  try {
    await main(words, json);
  } catch (error) {
    const { code, hint } = error instanceof GraftError ? error : { code: "internal", hint: null };
    const message = error instanceof Error ? error.message : String(error);
    if (json) process.stdout.write(`${JSON.stringify({ event: "error", code, message, hint })}\n`);
    process.stderr.write(`error[${code}]: ${message}\n${hint === null ? "" : `hint: ${hint}\n`}`);
    process.exitCode = exitStatus(error);
  }
}
