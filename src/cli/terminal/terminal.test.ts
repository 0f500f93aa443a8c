/** What is on the screen, at several widths: the bar stays one whole line, and messages have lines of their own. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { describe, test } from "node:test";

import { noPty, readScreen, runInPty } from "../../../test/process/screen.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { writeTinyRows } from "../../../test/tiny/rows.ts";
import { createIO } from "./terminal.ts";

const NOTES = { loss: "2.3100", speed: "1200 tokens/s", memory: "480.0 MB" };

/** A terminal on which standard output and error are the same screen. */
function openFakeTerminal(columns: number) {
  const screen = Object.assign(new PassThrough(), { isTTY: true, columns });
  const clock = { nowMs: 0 };
  const terminal = {
    stdout: screen,
    stderr: screen,
    env: {},
    interactive: true,
    hasColor: false,
    signal: new AbortController().signal,
    now: () => clock.nowMs,
  };
  let bytes = "";
  screen.on("data", (data: Buffer) => (bytes += data.toString()));
  return {
    io: createIO(terminal, { json: false }),
    clock,
    read: async () => await readScreen(bytes, columns),
    screen,
  };
}

for (const columns of [40, 60, 80, 120]) {
  describe(`on a terminal of ${columns} columns`, () => {
    test("a message has a line of its own above the bar, which is drawn again", async () => {
      const { io, clock, read } = openFakeTerminal(columns);
      const bar = io.progress("training", 20, "steps");
      for (let step = 0; step <= 9; step++) {
        bar.update(step, NOTES);
        clock.nowMs += 10_000;
      }
      bar.update(9, NOTES);
      io.stdout("held-out loss: 2.1");
      io.stderr("a note");
      const lines = await read();
      assert.deepEqual(
        lines.slice(0, -1).map(({ text }) => text),
        ["held-out loss: 2.1", "a note"],
      );
      const last = lines.at(-1)?.text ?? "";
      assert.match(last, /^training .*9\/20 .*2 min 02 s left$/);
      assert.ok(last.length < columns, last);
    });

    test("what comes after the bar has a line of its own, and so has the prompt", async () => {
      const { io, clock, read, screen } = openFakeTerminal(columns);
      const bar = io.progress("training", 20, "steps");
      bar.update(9, NOTES);
      clock.nowMs += 60_000;
      bar.update(10, NOTES);
      bar.stop();
      io.stderr("hint: go on with --resume");
      screen.write("$ ");
      const lines = await read();
      assert.match(lines[0]?.text ?? "", /^training .*10\/20/);
      assert.deepEqual(
        lines.slice(1).map(({ text }) => text),
        ["hint: go on with --resume", "$ "],
      );
      assert.ok(lines.every(({ isWrapped }) => !isWrapped));
    });
  });
}

describe("in a pseudo-terminal", { skip: noPty }, () => {
  const folder = temporaryFolder();

  /** Runs a program of Node, then something that stands for the prompt of a shell. */
  async function run(columns: number, ...words: readonly string[]): Promise<string[]> {
    const script = '"$@"; status=$?; printf PROMPT; exit $status';
    const command = ["sh", "-c", script, "sh", process.execPath, ...words];
    const { bytes, status } = await runInPty(columns, command, process.env);
    assert.equal(status, 0, bytes);
    return (await readScreen(bytes, columns)).map(({ text }) => text);
  }

  test("errors are coloured on a terminal, and not in a file", async () => {
    const refused = `"${process.execPath}" "${join(import.meta.dirname, "../../../bin/graft.js")}" trian`;
    const env = { PATH: process.env["PATH"] } as NodeJS.ProcessEnv;
    const file = join(folder, "errors");
    const { bytes } = await runInPty(80, ["sh", "-c", refused], env);
    assert.ok(bytes.includes("\u001b[31merror"));
    await runInPty(80, ["sh", "-c", `${refused} 2> "${file}"`], env);
    assert.match(readFileSync(file, "utf8"), /^error\[usage\/flag\]: /);
  });

  const data = writeTinyRows(join(folder, "rows.jsonl"), "text", 8);
  const model = writeTinyModel(join(folder, "model"));
  for (const columns of [60, 80, 120]) {
    test(`a run keeps messages, bar and prompt apart on ${columns} columns`, async () => {
      const settings = ["--steps", "2", "--eval-every", "1", "--max-length", "64", "--threads", "1"];
      const output = join(folder, `out-${columns}`);
      const files = ["--model", await model, "--data", data, "--eval-data", data, "--output", output];
      const lines = await run(
        columns,
        join(import.meta.dirname, "../../../bin/graft.js"),
        "train",
        ...settings,
        ...files,
      );
      assert.equal(lines.at(-1), "PROMPT");
      const heldOut = lines.filter((text) => text.includes("held-out loss"));
      assert.equal(heldOut.length, 3);
      assert.ok(heldOut.every((text) => text.startsWith("held-out loss")));
      const bars = lines.filter((text) => text.includes("█"));
      assert.equal(bars.length, 1, lines.join("\n"));
      assert.match(bars[0] ?? "", /^training .* 2\/2 .*speed/);
      assert.ok(bars[0]!.length < columns, bars[0]);
    });
  }
});
