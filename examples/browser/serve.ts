/** @file Bundles the page with graft's source and serves it on the loopback, isolated, so that its programs may have threads. */
import { spawnSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { pipeline } from "node:stream";
import { fileURLToPath } from "node:url";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
/** Folders by the beginning of an address. */
const PLACES = { "/onnxruntime/": here("node_modules/onnxruntime-web/dist/"), "/": here("dist/") };

function bundle(): void {
  const settings = ["--bundle", "--platform=browser", "--format=esm", "--log-level=warning"];
  const alias = `--alias:graft/core=${here("../../src/core.ts")}`;
  const files = ["page.ts", "worker.ts"].map(here);
  const { status } = spawnSync(
    here("node_modules/.bin/esbuild"),
    [...files, ...settings, alias, `--outdir=${here("dist")}`],
    { stdio: "inherit" },
  );
  if (status !== 0)
    throw new Error("Cannot bundle the page: run `npm install` here, and `npm ci` in graft's folder.");
}

/** The file at an address, which names nothing above its place. */
function fileAt(address: string): string {
  if (address === "/") return here("index.html");
  const [start, folder] = Object.entries(PLACES).find(([start]) => address.startsWith(start))!;
  return `${folder}${address.slice(start.length).replaceAll("..", "")}`;
}

bundle();
const port = Number(process.argv[2] ?? 8000);
createServer((request, response) => {
  const path = fileAt(URL.parse(request.url ?? "/", "http://localhost")?.pathname ?? "/");
  stat(path).then(
    (found) => {
      if (!found.isFile()) {
        response.writeHead(404).end();
        return;
      }
      response.writeHead(200, {
        "content-type": TYPES[extname(path)] ?? "application/octet-stream",
        "content-length": found.size,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
      });
      // A reader who leaves ends the file too, and nothing else.
      pipeline(createReadStream(path), response, () => {});
    },
    () => {
      response.writeHead(404).end();
    },
  );
}).listen(port, "127.0.0.1", () => process.stdout.write(`http://localhost:${port}\n`));
