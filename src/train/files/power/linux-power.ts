/**
 * @file Battery, temperature and energy from Linux: power_supply, thermal_zone and powercap (RAPL) of /sys/class.
 *
 * Batteries of peripherals such as mice are ignored; several batteries of the device are averaged; the highest temperature counts. On
 * most systems only root can read the energy counters of processors: without them energy is estimated.
 */
import { join } from "node:path";
import { disk } from "../../../format/files/disk/calls.ts";
import { namesIn } from "../../../format/files/disk/names-in.ts";
import {
  type EnergyCounter,
  type PowerReading,
  type PowerSource,
  PowerProblem,
  isTemperature,
  requireState,
} from "../../power/reading.ts";

/** Reads the sensors in a folder; tests use another than /sys/class. */
export function linuxPower(root = "/sys/class"): PowerSource {
  return {
    name: "auto",
    async read() {
      const [charges, watts] = await readBatteries(join(root, "power_supply"));
      const temperatures = await readTemperatures(join(root, "thermal"));
      const reading: PowerReading = {
        battery:
          charges.length === 0 ? null : charges.reduce((sum, charge) => sum + charge, 0) / charges.length,
        temperature: temperatures.length === 0 ? null : Math.max(...temperatures),
        watts,
      };
      if (reading.battery === null && reading.temperature === null)
        throw new PowerProblem(`finds no battery and no thermal zone in ${root}`);
      return requireState(reading);
    },
    readEnergy: () => readCounters(join(root, "powercap")),
  };
}

/** Charges of the device's batteries, and the watts that they deliver; null: not reported, or they are being charged. */
async function readBatteries(folder: string): Promise<[charges: number[], watts: number | null]> {
  const charges: number[] = [];
  let microwatts: number | null = null;
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    if ((await readText(join(path, "type"))) !== "Battery") continue;
    if ((await readText(join(path, "scope"))) === "Device") continue;
    const charge = await readNumber(join(path, "capacity"));
    if (charge === null || charge < 0 || charge > 100) continue;
    charges.push(charge);
    if ((await readText(join(path, "status"))) !== "Discharging") continue;
    const drawn = await readMicrowatts(path);
    if (drawn !== null) microwatts = (microwatts ?? 0) + drawn;
  }
  return [charges, microwatts === null ? null : microwatts / 1e6];
}

async function readMicrowatts(path: string): Promise<number | null> {
  const power = await readNumber(join(path, "power_now"));
  if (power !== null) return Math.abs(power);
  const [current, voltage] = [
    await readNumber(join(path, "current_now")),
    await readNumber(join(path, "voltage_now")),
  ];
  return current === null || voltage === null ? null : Math.abs(current * voltage) / 1e6;
}

async function readTemperatures(folder: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await namesIn(folder)) {
    if (!name.startsWith("thermal_zone")) continue;
    const millidegrees = await readNumber(join(folder, name, "temp"));
    if (millidegrees !== null && isTemperature(millidegrees / 1000)) found.push(millidegrees / 1000);
  }
  return found;
}

/** The counters of whole processors; counters of their parts would count energy twice. */
async function readCounters(folder: string): Promise<EnergyCounter[]> {
  const counters: EnergyCounter[] = [];
  for (const name of await namesIn(folder)) {
    if (!(await readText(join(folder, name, "name")))?.startsWith("package")) continue;
    const microjoules = await readNumber(join(folder, name, "energy_uj"));
    const range = await readNumber(join(folder, name, "max_energy_range_uj"));
    if (microjoules !== null && range !== null) counters.push({ name, microjoules, range });
  }
  return counters;
}

/** Null: the file does not exist or cannot be read. */
async function readText(path: string): Promise<string | null> {
  const text = await disk()
    .readFile(path, "utf8")
    .catch(() => null);
  return text === null ? null : text.trim();
}

async function readNumber(path: string): Promise<number | null> {
  const text = await readText(path);
  return text === null || !/^-?\d+$/.test(text) ? null : Number(text);
}
