import assert from "node:assert/strict";
import { test } from "node:test";

import type { CommandIO } from "../command.ts";
import { ReadingBar } from "./reading.ts";

test("the bar of a file has the file's name without its folder, which would leave no room in a narrow terminal", () => {
  const labels: string[] = [];
  const progress = (label: string) => {
    labels.push(label);
    return { update() {}, stop() {} };
  };
  const bar = new ReadingBar({ progress } as Partial<CommandIO> as CommandIO);
  for (const file of ["/a/long/way/to/chats.jsonl", "/a/long/way/to/more.jsonl"])
    bar.update({ file, numRows: 1, totalRows: 2 });
  assert.deepEqual(labels, ["reading chats.jsonl", "reading more.jsonl"]);
});
