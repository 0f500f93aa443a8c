/** @file A hundred kills: `npm run test:kill`. Longer than what `npm run check` may take. */
import { describeKills } from "./kill-runs.ts";
import { describeWriterKills } from "./kill-writers.ts";

describeKills(100, 2);
await describeWriterKills(25, 2);
