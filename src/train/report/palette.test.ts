/** @file The colours of charts: readers who lack one kind of cones tell them apart too. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NIGHT, PAPER } from "./palette.ts";

type Triple = readonly [number, number, number];

/** What a colour looks like (linear RGB), by Machado, Oliveira and Fernandes 2009, severity 1. */
const SIGHTS: Readonly<Record<string, readonly Triple[]>> = {
  usual: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};
/** Linear RGB to XYZ, each divided by that of white (D65). */
const TO_XYZ: readonly Triple[] = [
  [0.4339, 0.3762, 0.1899],
  [0.2126, 0.7152, 0.0722],
  [0.0177, 0.1095, 0.8728],
];
/** Distance in CIELAB; of neighbours that are seen as two colours without looking twice. */
const LEAST = 20;

function times(matrix: readonly Triple[], [a, b, c]: Triple): Triple {
  const [x, y, z] = matrix.map((row) => row[0] * a + row[1] * b + row[2] * c) as [number, number, number];
  return [x, y, z];
}

function linear(color: string): Triple {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return [r, g, b];
}

function lab(rgb: Triple): Triple {
  const clipped = rgb.map((share) => Math.min(1, Math.max(0, share))) as [number, number, number];
  const [x, y, z] = times(TO_XYZ, clipped).map((share) =>
    share > 0.008856 ? Math.cbrt(share) : 7.787 * share + 16 / 116,
  ) as [number, number, number];
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

for (const [name, { series }] of Object.entries({ PAPER, NIGHT })) {
  for (const [sight, matrix] of Object.entries(SIGHTS)) {
    test(`any two colours of ${name} are told apart: ${sight}`, () => {
      const seen = series.map((color) => lab(times(matrix, linear(color))));
      seen.forEach((a, i) =>
        seen.slice(0, i).forEach((b, j) => {
          const distance = Math.hypot(...a.map((value, k) => value - b[k]!));
          assert.ok(distance > LEAST, `${series[i]} and ${series[j]}: ${distance.toFixed(1)}`);
        }),
      );
    });
  }
}
