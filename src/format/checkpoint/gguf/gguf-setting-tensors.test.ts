import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { GGUF_FAMILIES } from "../../../models/families.ts";
import { settingOfTensor, tensorsOfSettings } from "./gguf-setting-tensors.ts";

const { gguf } = GGUF_FAMILIES.find(({ modelType }) => modelType === "apertus")!;
const LISTS = { "xielu.alpha_p": [1, 2], "xielu.alpha_n": [3, 4], "xielu.beta": 0.5, "xielu.eps": -1 };

describe("tensors among the settings of a GGUF file", () => {
  test("are one number for each block, or one for all", () => {
    const tensors = tensorsOfSettings({ path: "x.gguf", metadata: LISTS }, gguf, 2);
    const { shape, data } = tensors.get("model.layers.1.mlp.act_fn.alpha_n")!;
    assert.deepEqual([shape, [...data]], [[1], [4]]);
    assert.deepEqual(
      [0, 1].map((block) => [...tensors.get(`model.layers.${block}.mlp.act_fn.beta`)!.data]),
      [[0.5], [0.5]],
    );
    assert.equal(tensors.size, 8);
  });

  test("are refused where they are of other blocks, missing, or no numbers", () => {
    for (const alpha of [[1, 2, 3], undefined, ["a", "b"], []]) {
      assert.throws(
        () => tensorsOfSettings({ path: "x.gguf", metadata: { ...LISTS, "xielu.alpha_p": alpha } }, gguf, 2),
        {
          code: "format/file",
          message:
            'Cannot read GGUF file "x.gguf": setting xielu.alpha_p is not a list of 2 numbers, expected one',
        },
      );
    }
  });

  test("have the names of tensors in folders", () => {
    const found = settingOfTensor(gguf, "model.layers.12.mlp.act_fn.alpha_p");
    assert.deepEqual(found, { setting: "xielu.alpha_p", block: 12 });
    assert.equal(settingOfTensor(gguf, "model.layers.12.mlp.up_proj.weight"), null);
    assert.equal(settingOfTensor(gguf, "model.norm.weight"), null);
  });
});
