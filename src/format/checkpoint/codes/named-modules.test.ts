import assert from "node:assert/strict";
import test from "node:test";
import { matchesOf, targetsIn } from "./named-modules.ts";

test("expressions of quantization settings are read as Python reads them", () => {
  const module = "model.layers.1.mlp.down_proj";
  for (const source of [
    ".*mlp",
    "model\\.layers\\.1\\..*proj\\Z",
    "model\\.(?P<part>l[]a]yers)\\..{,20}proj",
  ])
    assert.equal(matchesOf([source])?.(module), true, source);
  assert.equal(matchesOf(["layers\\.1"])?.(module), false, "a name begins with what is looked for");
  assert.equal(targetsIn(["re:.*down_proj\\Z"])?.(module), true);
  assert.equal(matchesOf(["(a+)+$("]), null);
});
