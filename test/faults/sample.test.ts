/** @file Some of the calls fail, spread over the whole work; all of them: `npm run test:faults`. */
import { describeFaults } from "./run-faults.ts";

const SHARES = [0, 0.3, 0.7, 1];

await describeFaults((numCalls) => [
  ...new Set(SHARES.map((share) => 1 + Math.round(share * (numCalls - 1)))),
]);
