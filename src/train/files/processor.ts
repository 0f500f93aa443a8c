/** @file The name of this machine's processor. */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** The name, with family and model on Linux: virtual machines give different processors the same name, such as "AMD EPYC". */
export function describeProcessor(model = cpus()[0]?.model, cpuInfo = readCpuInfo()): string {
  const name = model?.trim() || "unknown";
  const [family, number] = ["cpu family", "model"].map(
    (key) => new RegExp(`^${key}\\s*: (\\d+)$`, "m").exec(cpuInfo)?.[1],
  );
  return family && number ? `${name} (family ${family}, model ${number})` : name;
}

/** The content of /proc/cpuinfo; "" if there is none. */
function readCpuInfo(): string {
  try {
    return readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return "";
  }
}
