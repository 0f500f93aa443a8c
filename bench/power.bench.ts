/** @file What does pausing by battery and temperature do to a phone? Heat, battery, time and energy of a simulated one. */
import { defineBenchmark, type Json } from "./bench.ts";
import { type PhoneRun, SimulatedPhone, trainOnPhone } from "../test/train/simulated-phone.ts";
import { rounded } from "./harness/statistics.ts";

const NUM_BLOCKS = 60;

const SIDES: Readonly<Record<string, PhoneRun["pacer"]>> = {
  "at full speed": null,
  "paused by --power": {},
};

export const benchmark = defineBenchmark({
  question: "What does pausing by battery and temperature do to a simulated phone?",
  ignoresLoad: true,
  flags: {
    steps: { value: 2000, help: "steps of the run" },
    "step-ms": { value: 600, help: "work of a step in milliseconds" },
    tokens: { value: 512, help: "tokens of a step" },
    battery: { value: 35, help: "charge at the beginning, in per cent" },
  },
  async run({ steps: numSteps, "step-ms": stepMs, tokens, battery }) {
    const rows: string[][] = [];
    const results: Record<string, Json> = {};
    for (const [name, pacer] of Object.entries(SIDES)) {
      const phone = new SimulatedPhone(battery);
      const steps = await trainOnPhone({ phone, pacer, numSteps, stepMs, numBlocks: NUM_BLOCKS });
      const hottest = Math.max(...steps.map(({ temperature }) => temperature));
      const { nowMs, battery: left } = phone.state;
      const mjPerToken = (1000 * phone.joules) / (numSteps * tokens);
      const numPaused = steps.filter(({ pauseMs }) => pauseMs > 0).length;
      results[name] = {
        hottest_celsius: rounded(hottest, 2),
        minutes: rounded(nowMs / 60_000, 2),
        battery_left_percent: rounded(left, 2),
        mj_per_token: rounded(mjPerToken, 2),
        tokens_per_second: rounded((1000 * numSteps * tokens) / nowMs, 2),
        paused_steps: numPaused,
      };
      rows.push([
        name,
        `${hottest.toFixed(1)} °C`,
        `${(nowMs / 60_000).toFixed(1)} min`,
        `${left.toFixed(1)} %`,
        `${mjPerToken.toFixed(2)} mJ`,
        `${numPaused}`,
      ]);
    }
    return {
      parameters: { steps: numSteps, step_ms: stepMs, tokens, battery },
      table: { head: ["side", "hottest", "time", "battery left", "per token", "paused steps"], rows },
      results,
    };
  },
});
