/** @file The kept results: pages tell their numbers as they are, and what they say of them is so. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { RESULTS, type Result, toSvg, toTable } from "./report.ts";

const MODELS = { small: "", large: "SmolLM2-135M-Instruct" };
/** Results of which a page has some columns, or a sentence. */
const TOLD_IN_PART = ["composition-prompt-end", "snell-rank"];

function resultOf(model: string, name: string): Result {
  return JSON.parse(readFileSync(join(RESULTS, model, `${name}.json`), "utf8")) as Result;
}

/** A page's lines, as far as they stand for rows; a word about a number in the first cell of a table is left out. */
function linesOf(page: string): string[] {
  const path = fileURLToPath(new URL(`../docs/${page}`, import.meta.url));
  return readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.trim().replace(/^\| (-?\d+) \(.*?\) \|/, "| $1 |"));
}

function numberOf({ rows }: Result, label: string | number, column: string): number {
  const value = rows.find((row) => row.label === label)?.values[column];
  assert.ok(value !== undefined, `${label}, ${column}`);
  return value;
}

describe("a page has every row of", () => {
  const told = new Set(["experiments.md", "peqa.md"].flatMap(linesOf));
  for (const model of Object.values(MODELS)) {
    const files = readdirSync(join(RESULTS, model)).filter((file) => file.endsWith(".json"));
    for (const name of files.map((file) => file.slice(0, -".json".length))) {
      if (TOLD_IN_PART.includes(name)) continue;
      test(join(model, name), () => {
        const [, , ...rows] = toTable(resultOf(model, name)).replaceAll("  ", " ").split("\n");
        assert.deepEqual(
          rows.filter((row) => !told.has(row)),
          [],
        );
      });
    }
  }

  test("snell-rank: rank, zeros, loss and memory", () => {
    const found = linesOf("snell.md").flatMap(
      (line) =>
        /^\| .* \| (\d+)(?: \(full\))? \| ([\d.]+) \| ([\d.]+) \| ([\d,]+) \|/.exec(line)?.slice(1) ?? [],
    );
    const columns = [
      ["mean rank", 0],
      ["share of zeros", 1],
      ["held-out loss", 3],
      ["kB in training", 0],
    ] as const;
    const kept = resultOf(MODELS.small, "snell-rank").rows.flatMap(({ values }) =>
      columns.map(([column, digits]) => Number(values[column]!.toFixed(digits))),
    );
    assert.deepEqual(
      found.map((number) => Number(number.replace(",", ""))),
      kept,
    );
  });
});

describe("a kept picture is the one of its numbers", () => {
  for (const model of Object.values(MODELS)) {
    const files = readdirSync(join(RESULTS, model)).filter((file) => file.endsWith(".svg"));
    for (const name of files.map((file) => file.slice(0, -".svg".length))) {
      test(join(model, name), () => {
        assert.equal(readFileSync(join(RESULTS, model, `${name}.svg`), "utf8"), toSvg(resultOf(model, name)));
      });
    }
  }
});

test("a picture of bars has a label and a number for each row, and no bar for what was not measured", () => {
  const result = resultOf(MODELS.small, "rounding");
  const labels = [...toSvg(result).matchAll(/>([^<>]+)<\/text>/g)].map(([, label]) => label!);
  for (const { label, values } of result.rows) {
    assert.ok(labels.includes(String(label)), String(label));
    for (const name of result.drawn.filter((name) => name in values))
      assert.ok(labels.includes(values[name]!.toFixed(2)), `${label}, ${name}`);
  }
  assert.ok(!labels.includes("0.00") && labels.includes(result.measure), labels.join());
});

describe("of the kept results it is so that", () => {
  for (const [size, model] of Object.entries(MODELS)) {
    test(`an average of two adapters has a smaller loss on the union than either: ${size} model`, () => {
      const result = resultOf(model, "distribution");
      const [average, ...single] = ["½ ⊕ ½ (paper)", "mostly happy", "mostly sad"].map((label) =>
        numberOf(result, label, "loss"),
      );
      assert.ok(average! < Math.min(...single));
    });

    test(`a negated adapter takes a habit away, and leaves other texts within a twentieth: ${size} model`, () => {
      const result = resultOf(model, "unlearning");
      for (const [column, isSo] of [
        ["loss on answers with it", (before: number, after: number) => after > 2 * before],
        ["answers with the habit", (before: number, after: number) => after < before / 4],
        ["loss on stories", (before: number, after: number) => Math.abs(after / before - 1) < 0.05],
      ] as const) {
        assert.ok(isSo(numberOf(result, 0, column), numberOf(result, 0.3, column)), column);
      }
    });
  }

  test("the paper's average needs adapters that began alike, more than the exact one does", () => {
    const result = resultOf(MODELS.small, "distribution");
    const growth = (way: string, kind: string): number =>
      numberOf(result, `${way} of two starts (${kind})`, "loss") /
      numberOf(result, `${way} (${kind})`, "loss");
    assert.ok(growth("½ ⊕ ½", "paper") > growth("½ + ½", "exact"));
  });

  test("PEQA in groups loses less with fewer bits than LoRA that is rounded, and learns more slowly with one scale a row", () => {
    const result = resultOf(MODELS.small, "rounding");
    for (const bits of ["4 bits", "3 bits", "2 bits"]) {
      const of = (way: string): number => numberOf(result, way, bits);
      assert.ok(of("PEQA, groups of 32") < of("LoRA, then rounded, groups of 32"), bits);
      assert.ok(of("PEQA, one scale a row") > of("LoRA, then rounded, one scale a row"), bits);
      for (const groups of ["one scale a row", "groups of 32"])
        assert.ok(of(`PEQA, ${groups}`) < of(`base, rounded, ${groups}`), bits);
    }
  });

  test("SNELL's update has nearly full rank with as many numbers as LoRA, and a product made as sparse learns less", () => {
    const result = resultOf(MODELS.small, "snell-rank");
    const of = (label: string, column: string): number => numberOf(result, label, column);
    assert.ok(of("SNELL, no zeros", "mean rank") > 10 * of("LoRA", "mean rank"));
    assert.ok(of("hard", "trained numbers") < 1.001 * of("LoRA", "trained numbers"));
    assert.ok(of("hard", "held-out loss") < of("linear kernel, hard", "held-out loss"));
  });
});
