/** @file Training by battery and temperature: a simulated phone, real sources, and runs that pause. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, type Socket, createServer } from "node:net";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { SimulatedPhone, trainOnPhone } from "./simulated-phone.ts";
import { commandPower, splitWords } from "../../src/train/files/power/command-power.ts";
import { filePower } from "../../src/train/files/power/file-power.ts";
import { linuxPower } from "../../src/train/files/power/linux-power.ts";
import { openPowerSource } from "../../src/train/files/power/power-sources.ts";
import type { StepEvent, TrainEvent } from "../../src/train/events.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, runTiny } from "./tiny-run.ts";

const folder = temporaryFolder();

describe("a simulated phone", () => {
  const RUN = { numSteps: 1500, stepMs: 600, numBlocks: 24 };

  test("at full speed it overheats; paced it stays at the threshold, and each token costs a little more", async () => {
    const [free, paced] = [new SimulatedPhone(80), new SimulatedPhone(80)];
    const freeSteps = await trainOnPhone({ ...RUN, phone: free, pacer: null });
    const steps = await trainOnPhone({ ...RUN, phone: paced, pacer: {} });
    assert.ok(Math.max(...freeSteps.map(({ temperature }) => temperature)) > 55);
    assert.ok(Math.max(...steps.map(({ temperature }) => temperature)) < 43);
    // It throttles when it is hot, and goes on as fast as it can when it has cooled.
    const hot = steps.findIndex(({ pauseMs }) => pauseMs > 0);
    const resumed = steps.findIndex(({ pauseMs }, i) => i > hot && pauseMs === 0);
    assert.ok(hot > 100 && resumed > hot, `throttled in step ${hot}, resumed in ${resumed}`);
    for (const { pauseMs } of steps)
      assert.ok(Math.abs(pauseMs) < 1 || Math.abs(pauseMs - 1400) < 60, `${pauseMs}`);
    // Pauses cost what the phone draws at rest; a cool chip leaks less.
    const extra = paced.joules / free.joules - 1;
    assert.ok(extra > 0 && extra < 0.12, `${(100 * extra).toFixed(1)} % more per token`);
    const busy = (RUN.numSteps * RUN.stepMs) / paced.state.nowMs;
    assert.ok(busy > 0.35 && busy < 0.65, `busy ${busy}`);
  });

  test("a low battery slows it until it is charged", async () => {
    const phone = new SimulatedPhone(20.2);
    const steps = await trainOnPhone({
      ...RUN,
      phone,
      numSteps: 400,
      pacer: {},
      onStep: (step) => void (phone.chargerWatts = step >= 200 ? 15 : 0),
    });
    const isSlow = steps.map(({ pauseMs }) => pauseMs > 1000);
    const first = isSlow.indexOf(true);
    assert.ok(first > 0 && steps[first - 1]!.battery < 20, `slow from step ${first}`);
    assert.ok(isSlow.slice(first, 200).every(Boolean));
    const again = isSlow.indexOf(false, 200);
    assert.ok(again > 200 && steps[again - 1]!.battery >= 20, `fast from step ${again}`);
  });
});

/** Writes files below a folder. */
function writeTree(root: string, files: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), `${text}\n`);
  }
  return root;
}

describe("sources", () => {
  test("Linux tells the mean of its batteries, the hottest zone, what is drawn, and counters of processors", async () => {
    const source = linuxPower(
      writeTree(`${folder}/sys`, {
        "power_supply/AC/type": "Mains",
        "power_supply/BAT0/type": "Battery",
        "power_supply/BAT0/capacity": "30",
        "power_supply/BAT0/status": "Discharging",
        "power_supply/BAT0/power_now": "6000000",
        "power_supply/BAT1/type": "Battery",
        "power_supply/BAT1/capacity": "70",
        "power_supply/BAT1/status": "Discharging",
        "power_supply/BAT1/current_now": "-500000",
        "power_supply/BAT1/voltage_now": "4000000",
        "power_supply/mouse/type": "Battery",
        "power_supply/mouse/scope": "Device",
        "power_supply/mouse/capacity": "5",
        "thermal/thermal_zone0/temp": "41500",
        "thermal/thermal_zone1/temp": "38000",
        "thermal/thermal_zone2/temp": "-274000",
        "thermal/thermal_zone3/type": "broken",
        "thermal/cooling_device0/cur_state": "99000",
        "powercap/intel-rapl:0/name": "package-0",
        "powercap/intel-rapl:0/energy_uj": "123456",
        "powercap/intel-rapl:0/max_energy_range_uj": "262143328850",
        "powercap/intel-rapl:0:0/name": "core",
        "powercap/intel-rapl:0:0/energy_uj": "99",
        "powercap/intel-rapl:0:0/max_energy_range_uj": "262143328850",
      }),
    );
    assert.deepEqual(await source.read(), { battery: 50, temperature: 41.5, watts: 8 });
    assert.deepEqual(await source.readEnergy(), [
      { name: "intel-rapl:0", microjoules: 123456, range: 262143328850 },
    ]);
    const none = linuxPower(`${folder}/nowhere`);
    await assert.rejects(none.read(), /finds no battery and no thermal zone/);
    assert.deepEqual(await none.readEnergy(), []);
  });

  test("a file is read anew each time; what is missing, too large, a folder or nonsense is said", async () => {
    const path = `${folder}/power.json`;
    const source = filePower(path);
    await assert.rejects(source.read(), /cannot be read \(no such file\)/);
    writeFileSync(path, '{"battery": 12}');
    assert.equal((await source.read()).battery, 12);
    writeFileSync(path, '{"battery": 13}');
    assert.equal((await source.read()).battery, 13);
    writeFileSync(path, "x".repeat(100_000));
    await assert.rejects(source.read(), /100000 bytes/);
    writeFileSync(path, '{"battery": "\u001b[31m"}');
    await assert.rejects(source.read(), /says "/);
    await assert.rejects(filePower(folder).read(), /it is a folder/);
    // PowerShell puts a mark of byte order before what it writes.
    writeFileSync(path, '\uFEFF{"battery": 14}\r\n');
    const marked = filePower(path, () => assert.fail("waited for a whole file"));
    assert.equal((await marked.read()).battery, 14);
  });

  test(
    "a pipe in the place of a file is not waited for",
    { skip: process.platform === "win32" },
    async () => {
      const path = `${folder}/pipe.json`;
      execFileSync("mkfifo", [path]);
      await assert.rejects(filePower(path).read(), /it is a pipe/);
    },
  );

  test("a file that is empty while it is written is waited for, for two seconds", async () => {
    const path = `${folder}/written.json`;
    let waitedMs = 0;
    const source = filePower(path, async (ms) => {
      waitedMs += ms;
      if (waitedMs === 300) writeFileSync(path, '{"battery": 14}');
    });
    writeFileSync(path, "");
    assert.deepEqual([(await source.read()).battery, waitedMs], [14, 300]);
    writeFileSync(path, "\n");
    await assert.rejects(source.read(), /says ""/);
    assert.equal(waitedMs, 2300);
  });

  test("one that stays no JSON is waited for once; after it was whole again, once more", async () => {
    const path = `${folder}/stays.json`;
    let waitedMs = 0;
    const source = filePower(path, async (ms) => void (waitedMs += ms));
    const readAll = async (text: string): Promise<void> => {
      writeFileSync(path, text);
      for (let i = 0; i < 3; i++) await assert.rejects(source.read(), /says "hot"/);
    };
    await readAll("hot");
    assert.equal(waitedMs, 2000);
    writeFileSync(path, '{"battery": 14}');
    assert.equal((await source.read()).battery, 14);
    await readAll("hot");
    assert.equal(waitedMs, 4000);
  });

  test("so is one of which a part is written", async () => {
    const path = `${folder}/part.json`;
    const whole = '{"battery": 14}';
    let length = 5;
    const source = filePower(path, async () => writeFileSync(path, whole.slice(0, (length += 5))));
    writeFileSync(path, whole.slice(0, length));
    assert.equal((await source.read()).battery, 14);
    writeFileSync(path, "warm");
    await assert.rejects(filePower(path, async () => {}).read(), /says "warm"/);
  });

  test("a command is run without a shell; what is missing, fails, never ends or prints without end is said", async () => {
    const run = (script: string, ms = 600_000) =>
      commandPower(`"${process.execPath}" -e '${script}'`, ms).read();
    assert.deepEqual(await run("console.log(JSON.stringify({ battery: 40, temperature: 30 }))"), {
      battery: 40,
      temperature: 30,
      watts: null,
    });
    for (const command of ["no-such-program-of-ours --x", `"${folder}/none" --x`, ""])
      assert.throws(() => commandPower(command), {
        code: "usage/flag",
        message: /is neither a file nor a program/,
      });
    assert.equal(commandPower("echo --x").name, "echo --x");
    const gone = `${folder}/gone.sh`;
    writeFileSync(gone, "");
    const source = commandPower(gone);
    rmSync(gone);
    await assert.rejects(source.read(), /is neither a file nor a program/);
    await assert.rejects(run("process.exit(3)"), /ends with status 3/);
    await assert.rejects(run("setInterval(() => {}, 1000)", 300), /does not end within 0.3 s/);
    await assert.rejects(run('process.stdout.write("x".repeat(1e6))'), /prints more than/);
    await assert.rejects(run('console.log("warm")'), /says "warm/);
    assert.deepEqual(splitWords(`a "b c" d'e f'g  h`), ["a", "b c", "de fg", "h"]);
  });

  test("what a command has started ends with it", async () => {
    let socket: Socket | undefined;
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const fate = new Promise<string>((resolve) => {
      server.once("connection", (own) => {
        socket = own.on("error", () => {});
        own.on("data", () => resolve("answers")).on("close", () => resolve("has ended"));
      });
    });
    const { port } = server.address() as AddressInfo;
    // The second process prints too much, and echoes what it is told.
    const inner = `const s = require(\\"net\\").connect(${port}, () => process.stdout.on(\\"error\\", () => {}).write(\\"x\\".repeat(1e6))); s.pipe(s)`;
    const outer = `require("child_process").spawn(process.execPath, ["-e", "${inner}"], { stdio: "inherit" }); setInterval(() => {}, 1000)`;
    await assert.rejects(
      commandPower(`"${process.execPath}" -e '${outer}'`, 600_000).read(),
      /prints more than/,
    );
    socket?.write("Are you there?");
    assert.equal(await fate, "has ended");
    server.close();
  });

  test("a name is that of a file to read, a program to run, or auto", async () => {
    const [data, program] = [`${folder}/state.txt`, `${folder}/tell the state.sh`];
    writeFileSync(data, "{}");
    writeFileSync(program, "#!/bin/sh\n");
    chmodSync(program, 0o755);
    assert.equal(openPowerSource("auto").name, "auto");
    for (const [name, error] of [
      [data, /says neither battery nor temperature/],
      [`${folder}/not-there.json`, /no such file/],
      [program, /says ""/],
      // Longer than a name of a file may be.
      [`echo ${"warm ".repeat(80)}`, /says "warm warm/],
    ] as const)
      await assert.rejects(openPowerSource(name).read(), error, name);
  });
});

describe("a run that pauses", async () => {
  const SETTINGS = {
    model: await writeTinyModel(`${folder}/model`),
    data: writeTinyChats(`${folder}/chats.jsonl`, 8),
    learningRate: 0.01,
    steps: 4,
  };
  const power = `${folder}/battery.json`;
  const stepsOf = (events: readonly { readonly event: string }[]): StepEvent[] =>
    events.filter((event): event is StepEvent => event.event === "step");

  test("trains the same bits, and tells battery, pauses, both speeds and energy", async () => {
    await runTiny({ ...SETTINGS, output: `${folder}/plain` });
    writeFileSync(power, '{"battery": 10, "temperature": 30, "watts": 3}');
    const settings = { ...SETTINGS, output: `${folder}/paused`, power, powerBatteryRates: [0, 1] };
    const stop = new AbortController();
    const before: TrainEvent[] = [];
    const stopped = runTiny(settings, {
      signal: stop.signal,
      onEvent: (event) => {
        before.push(event);
        if (event.event === "step" && event.step === 2) stop.abort();
      },
    });
    await assert.rejects(stopped, { code: "train/stopped" });
    // A run that goes on reads at once, however long readings have taken.
    writeFileSync(power, "?");
    const { events, result } = await runTiny({ ...settings, resume: true });
    const name = "adapter_model.safetensors";
    assert.ok(bytesOf(`${folder}/paused`, name).equals(bytesOf(`${folder}/plain`, name)));
    const steps = stepsOf([...before, ...events]);
    const [second, third] = [steps[1], steps[2]] as [StepEvent, StepEvent];
    assert.deepEqual([second.battery, second.temperature, second.energy], [10, 30, "measured"]);
    const busyMs = (1000 * second.tokens) / second.tokens_per_second;
    const allMs = (1000 * second.tokens) / (second.tokens_per_second_with_pauses ?? 0);
    assert.ok(Math.abs(allMs - busyMs - (second.pause_ms ?? 0)) < 1e-6);
    assert.ok(second.pause_ms! > 0 && allMs > 960, `${busyMs} ms of work, ${second.pause_ms} of pause`);
    assert.ok(Math.abs(second.joules! - (3 * allMs) / 1000) < 1e-6, `${second.joules} J`);
    assert.deepEqual([third.battery, third.pause_ms, third.energy], [undefined, 0, "estimated"]);
    const notes = events.filter(({ event }) => event === "note");
    assert.equal(notes.length, 1, JSON.stringify(notes));
    assert.equal(result.energy, "estimated");
    assert.ok(Math.abs(result.joules! - steps.reduce((sum, step) => sum + step.joules!, 0)) < 1e-9);
    assert.match(
      readFileSync(`${folder}/paused/report.html`, "utf8"),
      /Energy, estimated[^]*Pause in each step/,
    );
  });

  test("stops with a checkpoint where nothing is said any more, and is resumed with the same bits", async () => {
    writeFileSync(power, '{"battery": 90}');
    const length = { schedule: "constant", warmupSteps: 0 };
    const output = `${folder}/stopped`;
    let numSteps = 0;
    // As many steps as pass until the next reading: after one that took long, it comes later.
    const run = runTiny(
      { ...SETTINGS, ...length, steps: 100_000, output, power, powerMissing: "stop" },
      {
        onEvent: (event) => {
          if (event.event !== "step") return;
          numSteps = event.step;
          if (numSteps === 2) writeFileSync(power, '{"battery": 900}');
        },
      },
    );
    await assert.rejects(run, {
      code: "train/power",
      message: /says battery 900, which is not a number from 0 to 100, expected/,
    });
    const whole = { ...SETTINGS, ...length, steps: numSteps + 1 };
    await runTiny({ ...whole, output, resume: true });
    await runTiny({ ...whole, output: `${folder}/whole` });
    const name = "adapter_model.safetensors";
    assert.ok(bytesOf(output, name).equals(bytesOf(`${folder}/whole`, name)));
  });

  test("a pause ends when the run is stopped", async () => {
    const stop = new AbortController();
    const [startMs, pauseMs] = [performance.now(), 9_000_000];
    const run = runTiny(
      { ...SETTINGS, output: `${folder}/aborted`, powerSchedule: `0-0:1,1-:${pauseMs}` },
      {
        signal: stop.signal,
        onEvent: (event) => {
          if (event.event === "step") setTimeout(() => stop.abort(), 100);
        },
      },
    );
    await assert.rejects(run, { code: "train/stopped" });
    assert.ok(performance.now() - startMs < 60_000);
  });

  test("settings that say nothing sensible are refused before anything is written", async () => {
    for (const [setting, value] of [
      ["powerSchedule", "10"],
      ["powerBattery", 120],
      ["powerBatteryRates", [1, 2]],
      ["powerMissing", "sleep"],
      // There is nothing that it could be missing of.
      ["powerMissing", "stop"],
      ["power", "no-such-program-of-ours --x"],
      ["powerEvery", 5],
    ] as const) {
      const output = `${folder}/bad-${setting}`;
      await assert.rejects(
        runTiny({ ...SETTINGS, output, [setting]: value }),
        { code: "usage/flag" },
        setting,
      );
      assert.equal(existsSync(output), false, setting);
    }
    const output = `${folder}/no-source`;
    await assert.rejects(runTiny({ ...SETTINGS, output, powerBatteryRates: [3, 1] }), {
      message: "Cannot use --power-battery-rates 3,1: no --power is given",
    });
  });
});
