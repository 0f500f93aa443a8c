/**
 * @file The colours of charts. Charts in files of their own have fixed colours; those in the report follow light and dark mode.
 */

export interface Palette {
  readonly background: string;
  readonly text: string;
  readonly axis: string;
  readonly grid: string;
  /** For noisy lines. */
  readonly pale: string;
  /** Colours of the lines, in order; distinguishable with any kind of colour blindness. */
  readonly series: readonly string[];
}

/** Colours on white, for charts in files of their own. */
export const PAPER: Palette = {
  background: "#ffffff",
  text: "#54555a",
  axis: "#54555a",
  grid: "#dfe2e8",
  pale: "#a9c3e8",
  series: ["#2f6fd0", "#d0562f", "#124a35", "#a0338a"],
};

/** Colours on a dark background. */
export const NIGHT: Palette = {
  background: "#1c2027",
  text: "#9aa3b2",
  axis: "#6b7482",
  grid: "#2a303a",
  pale: "#44618c",
  series: ["#6ea4f7", "#f08a63", "#bfe8c8", "#9440e0"],
};

/** Variables of the report's style sheet. */
export const PAGE: Palette = {
  background: "transparent",
  text: "var(--muted)",
  axis: "var(--axis)",
  grid: "var(--grid)",
  pale: "var(--pale)",
  series: PAPER.series.map((_, i) => `var(--series-${i + 1})`),
};
