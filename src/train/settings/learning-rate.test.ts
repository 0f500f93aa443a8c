import assert from "node:assert/strict";
import { test } from "node:test";
import { findOptimizer } from "../../optim/optimizers.ts";
import { SCHEDULES, findSchedule } from "../../optim/schedules.ts";
import { METHODS, findMethod } from "../../peft/methods.ts";
import { REFERENCE_WIDTH, suitableLearningRate, suitableWarmup } from "./learning-rate.ts";
import { findObjective } from "../objectives.ts";

const request = (width: number, method = "lora", optimizer = "adamw", objective = "cross-entropy") => ({
  method: findMethod(method),
  methodOptions: findMethod(method).options.parse({}),
  optimizer: findOptimizer(optimizer),
  objective: findObjective(objective),
  width,
});

test("a method's own rate is that of the reference width", () => {
  for (const { name, learningRate, options } of METHODS) {
    const own = typeof learningRate === "number" ? learningRate : learningRate(options.parse({}));
    assert.equal(suitableLearningRate(request(REFERENCE_WIDTH, name)), own);
  }
});

test("options that decide the size of what is trained decide the rate", () => {
  const { options } = findMethod("peqa");
  const rateOf = (scales: string): number =>
    suitableLearningRate({
      ...request(REFERENCE_WIDTH, "peqa"),
      methodOptions: options.parse({ scales }),
    });
  assert.ok(rateOf("row") > rateOf("group"));
});

test("LoRA gets 1e-3 on SmolLM2-135M and 2.4e-4 on a model of 4096 units", () => {
  assert.equal(suitableLearningRate(request(576)), 1e-3);
  assert.equal(suitableLearningRate(request(4096)), 2.4e-4);
});

test("the rate stays bounded for the narrowest and the widest models", () => {
  assert.equal(suitableLearningRate(request(8)), 1.6e-3);
  assert.equal(suitableLearningRate(request(1e6)), 1.3e-4);
});

test("an optimizer that moves by signs and an objective that compares answers get smaller rates", () => {
  const plain = suitableLearningRate(request(576));
  assert.ok(suitableLearningRate(request(576, "lora", "lion")) < plain);
  assert.ok(suitableLearningRate(request(576, "lora", "adamw", "dpo")) < plain);
});

test("a warm-up is a part of the run, also of the shortest", () => {
  for (const schedule of SCHEDULES) {
    for (const totalSteps of [1, 2, 19, 20, 21, 1000]) {
      const warmup = suitableWarmup(schedule, totalSteps);
      assert.ok(Number.isInteger(warmup) && warmup >= 0 && warmup < totalSteps);
    }
  }
  assert.equal(suitableWarmup(findSchedule("linear"), 160), 8);
  assert.equal(suitableWarmup(findSchedule("constant"), 160), 0);
});
