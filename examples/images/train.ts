/** Tunes a small Vision Transformer to changed images with several methods: node examples/images/train.ts [FOLDER] */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { methodsChart } from "./chart.ts";
import { METHODS, compare, percent } from "./compare.ts";
import { readFashion } from "./fashion.ts";

const NUM_TUNE = 4000;
const NUM_TEST = 2000;
const CHART = "images.svg";

const folder = process.argv[2] ?? "/usr/share/datasets/fashion-mnist";
const work = mkdtempSync(join(tmpdir(), "graft-images-"));
try {
  const settings = { pretrainSteps: 1000, tuneSteps: 300, batchSize: 64, seed: 1, methods: METHODS };
  const { pretrained, results } = await compare(
    readFashion(folder, NUM_TUNE, NUM_TEST),
    settings,
    work,
    console.log,
  );
  console.log(`\n| method | trainable parameters | optimizer bytes | accuracy | seconds |`);
  console.log("| --- | ---: | ---: | ---: | ---: |");
  console.log(`| none | 0 | 0 | ${percent(pretrained.other)} | 0 |`);
  for (const { method, trainableParameters, optimizerBytes, accuracy, seconds } of results) {
    const [parameters, bytes] = [trainableParameters, optimizerBytes].map((n) => n.toLocaleString("en"));
    console.log(`| ${method} | ${parameters} | ${bytes} | ${percent(accuracy)} | ${seconds.toFixed(0)} |`);
  }
  writeFileSync(CHART, methodsChart("Fashion-MNIST on its side, dark on bright", results));
  console.log(`\nlosses in ${CHART}`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
