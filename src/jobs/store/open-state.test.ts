/** @file What opening the place of a server's files loads. */
import assert from "node:assert/strict";
import { registerHooks } from "node:module";
import { test } from "node:test";
import { temporaryFolder } from "../../../test/tiny/model.ts";

test("what asks a store is loaded with a store alone, and by no job", async () => {
  const loaded: string[] = [];
  registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
  const numLoaded = (): number => loaded.filter((url) => url.includes("aws4fetch")).length;
  const { openState, untilAnswered } = await import("./open-state.ts");
  const { patient } = await import("../../../test/jobs/patient.ts");
  await import("../training/train-job.ts");
  const { clock } = patient();
  const folder = temporaryFolder();
  await untilAnswered(await openState({ folder, store: undefined, env: {}, clock }), patient());
  assert.equal(numLoaded(), 0);
  const env = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" };
  await openState({ folder, store: "s3://bucket", env, clock });
  assert.ok(numLoaded() > 0);
});
