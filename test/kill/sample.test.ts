/** @file A few kills; a hundred: `npm run test:kill`. */
import { describeKills } from "./kill-runs.ts";

describeKills(4, 1);
