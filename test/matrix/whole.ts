/** @file Every family with every method in every form: `npm run test:matrix`. Longer than what `npm run check` may take. */
import { createEngine } from "../../src/runtime/create-engine.ts";
import { temporaryFolder } from "../tiny-model.ts";
import { cells, describeCell } from "./cell.ts";

const engine = createEngine({ threads: 1 });
const folder = temporaryFolder();
for (const cell of cells("all")) describeCell(engine, folder, cell);
