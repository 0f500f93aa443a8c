/** @file A few kills; a hundred: `npm run test:kill`. */
import { describeKills } from "./kill-runs.ts";
import { describeWriterKills } from "./kill-writers.ts";

describeKills(4, 1);
await describeWriterKills(1, 1);
