/** @file What goes wrong again and again is told once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Trouble } from "./trouble.ts";

test("an error that stays is told once, another one too, and that it is over", () => {
  const told: unknown[] = [];
  const trouble = new Trouble({
    onTrouble: (error) => told.push(String(error)),
    onRecovered: () => told.push("over"),
  });
  trouble.end();
  for (const name of ["away", "away", "full", "away", "away"]) trouble.tell(new Error(name));
  trouble.end();
  trouble.end();
  trouble.tell(new Error("away"));
  assert.deepEqual(told, ["Error: away", "Error: full", "Error: away", "over", "Error: away"]);
});
