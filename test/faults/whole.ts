/** @file Every call of every kind fails once: `npm run test:faults`. Longer than what `npm run check` may take. */
import { describeFaults } from "./run-faults.ts";

await describeFaults((numCalls) => Array.from({ length: numCalls }, (_, i) => i + 1));
