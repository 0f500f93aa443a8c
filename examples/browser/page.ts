/** @file The page: files in, losses and text out. */
import type { Answer, Request } from "./messages.ts";

const input = (id: string): HTMLInputElement => document.querySelector(`input#${id}`)!;
const element = (id: string): HTMLElement => document.querySelector(`#${id}`)!;
const [modelFiles, dataFile, steps] = [input("model"), input("data"), input("steps")];
const prompt = document.querySelector("textarea")!;
const [status, text] = [element("status"), element("text")];
const curve = document.querySelector("polyline")!;

const worker = new Worker("/worker.js", { type: "module" });
let losses: number[] = [];

/** Draws the losses into a box of 100 times 100. */
function draw(): void {
  const [highest, last] = [Math.max(...losses), Math.max(1, losses.length - 1)];
  const points = losses.map((loss, i) => `${(100 * i) / last},${100 - (100 * loss) / highest}`);
  curve.setAttribute("points", points.join(" "));
}

function offer(files: readonly File[]): void {
  const links = files.map((file) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = link.textContent = file.name;
    return link;
  });
  element("files").replaceChildren(...links);
}

function hear(answer: Answer): void {
  if (answer.kind === "step") {
    losses = [...losses, answer.loss];
    status.textContent = `step ${answer.step} of ${steps.value}: loss ${answer.loss.toFixed(3)}`;
    draw();
  } else if (answer.kind === "text") text.textContent = answer.text;
  else if (answer.kind === "files") offer(answer.files);
  else {
    for (const button of document.querySelectorAll("button")) button.disabled = false;
    if (answer.kind === "failed") status.textContent = answer.message;
    else if (losses.length === 0) status.textContent = "ready";
  }
}

function ask(request: Request): void {
  for (const button of document.querySelectorAll("button")) button.disabled = true;
  worker.postMessage(request, []);
}

async function train(): Promise<void> {
  const [file] = dataFile.files ?? [];
  if (!file) {
    status.textContent = "Choose a file with examples first.";
    return;
  }
  losses = [];
  status.textContent = "the first step compiles its programs";
  ask({ kind: "train", training: { text: await file.text(), name: file.name, steps: Number(steps.value) } });
}

worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => hear(data));
modelFiles.addEventListener("change", () => {
  status.textContent = "opening the model";
  ask({ kind: "open", files: [...(modelFiles.files ?? [])] });
});
element("train").addEventListener("click", () => void train());
element("write").addEventListener("click", () => {
  text.textContent = "…";
  ask({ kind: "write", prompt: prompt.value, maxNewTokens: 40 });
});
