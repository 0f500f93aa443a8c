/** @file A hundred kills: `npm run test:kill`. Longer than what `npm run check` may take. */
import { describeKills } from "./kill-runs.ts";

describeKills(100, 2);
