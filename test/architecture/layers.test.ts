/** @file What ARCHITECTURE.md says of layers and packages is true: its picture and its table are read, and the code held to them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { findCircles, readImports } from "./import-graph.ts";

const ROOT = join(import.meta.dirname, "../..");
const architecture = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
const imports = readImports();

/** Files that only put others together. */
const ENTRIES = ["core.ts", "everywhere.ts", "index.ts"];
/** Below each other in the picture, and yet strangers. */
const APART = [["jobs", "engine"]];

/** "layer/folder" of a file that lies in a folder of its layer. */
function folderOf(file: string): string | null {
  return /^[^/]+\/[^/]+(?=\/)/.exec(file)?.[0] ?? null;
}

/** The folder of a file, or its own name where it lies beside the folders. */
function layerOf(file: string): string {
  return file.split("/")[0]!.replace(/\.ts$/, "");
}

/** Two files, or the folders that they lie in, beside each other: of `a/b/c` and `a/d`, `a/b` and `a/d`. */
function besideEachOther(one: string, other: string): [string, string] {
  const [names, others] = [one.split("/"), other.split("/")];
  const apart = names.findIndex((name, i) => name !== others[i]);
  return [names.slice(0, apart + 1).join("/"), others.slice(0, apart + 1).join("/")];
}

function section(title: string): string {
  const [, text] = architecture.split(`\n## ${title}\n`);
  assert.ok(text, `ARCHITECTURE.md has "${title}"`);
  return text.split("\n## ")[0]!;
}

/** The layers, highest first: the lines of the picture, whose last column says what the others are. */
function readLayers(): string[][] {
  const picture = /```text\n(.*?)```/s.exec(section("Layers"))?.[1] ?? "";
  return picture
    .split("\n")
    .map((line) => line.trim().split(/ {2,}/).slice(0, -1))
    .filter((names) => names.length > 0);
}

/** Folders of the largest layers, those that others import first. */
function readFolders(): Map<string, string[]> {
  const rows = section("Layers").matchAll(/^\| `([a-z]+)` \| (.*) \|$/gm);
  return new Map(
    [...rows].map(([, layer, text]) => [
      layer!,
      [...text!.matchAll(/`([a-z-]+)`/g)].map(([, folder]) => `${layer}/${folder}`),
    ]),
  );
}

/** Packages, and who the table says knows them. */
function readPackages(): { name: string; isExcept: boolean; folders: string[] }[] {
  return [...section("Dependencies").matchAll(/^\| `([^`]+)` \|[^|]*\|([^|]*)\|$/gm)].map(
    ([, name, known]) => ({
      name: name!,
      isExcept: known!.trim().startsWith("all but"),
      folders: [...known!.matchAll(/`([^`]+)\/`/g)].map(([, folder]) => folder!).sort(),
    }),
  );
}

describe("ARCHITECTURE.md", () => {
  const layers = readLayers();
  const depths = new Map(layers.flatMap((names, depth) => names.map((name) => [name, depth] as const)));

  test("has a layer for every folder, and every file beside them", () => {
    const found = [...imports.keys()].filter((file) => !ENTRIES.includes(file)).map(layerOf);
    assert.deepEqual([...depths.keys()].sort(), [...new Set(found)].sort());
  });

  test("says of each what it may import: itself, and what is above", () => {
    const wrong = [...imports].flatMap(([file, targets]) => {
      if (ENTRIES.includes(file)) return [];
      const own = layerOf(file);
      const isAllowed = (target: string): boolean => {
        const other = layerOf(target);
        if (APART.some(([from, to]) => from === own && to === other)) return false;
        return other === own || depths.get(other)! <= depths.get(own)!;
      };
      return targets
        .filter((target) => imports.has(target) && !isAllowed(target))
        .map((target) => `${file} imports ${target}`);
    });
    assert.deepEqual(wrong, []);
  });

  test("is true inside of a layer too: its folders import each other in one direction", () => {
    const folders = new Map<string, string[]>();
    for (const [file, targets] of imports) {
      const own = folderOf(file);
      if (own === null) continue;
      const others = targets.filter((target) => imports.has(target)).map(folderOf);
      const beside = others.filter((other) => other !== null && layerOf(other) === layerOf(own));
      folders.set(own, [...(folders.get(own) ?? []), ...(beside as string[])]);
    }
    assert.deepEqual(findCircles(folders), []);
    const listed = readFolders();
    assert.ok(listed.size >= 5);
    for (const [layer, order] of listed) {
      const found = [...folders.keys()].filter((folder) => layerOf(folder) === layer);
      assert.deepEqual(order.toSorted(), found.sort(), layer);
      for (const [i, folder] of order.entries()) {
        const later = folders.get(folder)?.filter((other) => order.indexOf(other) > i);
        assert.deepEqual(later, [], folder);
      }
    }
  });

  test("is true inside of folders as well: the folders in one import each other in one direction", () => {
    const edges = new Map<string, string[]>();
    for (const [file, targets] of imports) {
      for (const target of targets.filter((other) => imports.has(other))) {
        const [from, to] = besideEachOther(file, target);
        // A contract that lies beside the folders is theirs.
        if (from === to || [from, to].some((name) => name.endsWith(".ts"))) continue;
        edges.set(from, [...(edges.get(from) ?? []), to]);
        if (!edges.has(to)) edges.set(to, []);
      }
    }
    assert.deepEqual(findCircles(edges), []);
  });

  test("says in which order the folders of the project import each other, tests left out", () => {
    const order = /^Beside `src\/` lie (.*?): each imports/m.exec(section("Layers"))?.[1] ?? "";
    const folders = ["src", ...[...order.matchAll(/`([a-z]+)\/`/g)].map(([, folder]) => folder!)];
    assert.equal(folders.length, 6);
    const wrong = folders.flatMap((folder, depth) =>
      [...readImports(folder)].flatMap(([file, targets]) =>
        targets
          .filter((target) => folders.indexOf(/^\.\.\/(\w+)\//.exec(target)?.[1] ?? "src") > depth)
          .map((target) => `${folder}/${file} imports ${target}`),
      ),
    );
    assert.deepEqual(wrong, []);
  });

  test("names every package that is installed with graft, and who knows it", () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      dependencies: object;
    };
    const packages = readPackages();
    assert.deepEqual(packages.map(({ name }) => name).sort(), Object.keys(dependencies).sort());
    for (const { name, isExcept, folders } of packages) {
      const users = [...imports].flatMap(([file, targets]) =>
        targets.some((target) => target === name || target.startsWith(`${name}/`)) ? [layerOf(file)] : [],
      );
      const known = [...new Set(users)].sort();
      if (isExcept)
        assert.deepEqual(
          known.filter((folder) => folders.includes(folder)),
          [],
          name,
        );
      else assert.deepEqual(known, folders, name);
    }
  });
});
