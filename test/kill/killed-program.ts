/** @file The program on a disk on which it is killed: `node killed-program.ts KIND NTH WORDS…`, at the NTH call of a KIND. */
import { main } from "../../src/cli/main.ts";
import { withDisk } from "../../src/format/files/disk/calls.ts";
import { faultyDisk, type FaultKind } from "../faults/faulty-disk.ts";

const [kind, nth, ...words] = process.argv.slice(2);
const { disk } = faultyDisk(kind as FaultKind, Number(nth), () => {
  process.kill(process.pid, "SIGKILL");
  return new Promise<never>(() => {});
});
process.exitCode = await withDisk(disk, () => main(words));
