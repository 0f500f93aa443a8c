/** @file What the processor of this machine is called. */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** The name, with family and model where Linux tells them: virtual machines call unlike processors alike, such as "AMD EPYC". */
export function describeProcessor(model = cpus()[0]?.model, cpuInfo = readCpuInfo()): string {
  const name = model?.trim() || "unknown";
  const [family, number] = ["cpu family", "model"].map(
    (key) => new RegExp(`^${key}\\s*: (\\d+)$`, "m").exec(cpuInfo)?.[1],
  );
  return family && number ? `${name} (family ${family}, model ${number})` : name;
}

/** The facts of each processor; "" where there are none. */
function readCpuInfo(): string {
  try {
    return readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return "";
  }
}
