/**
 * @file The colours of charts. Charts in files of their own have fixed colours; those in the report follow light and dark
 * mode.
 */

export interface Palette {
  readonly background: string;
  readonly text: string;
  readonly axis: string;
  readonly grid: string;
  /** Pale, for what is noise; then of series in their order. */
  readonly pale: string;
  readonly series: readonly string[];
}

/** Colours on white, for pictures in files of their own. */
export const PAPER: Palette = {
  background: "#ffffff",
  text: "#54555a",
  axis: "#54555a",
  grid: "#dfe2e8",
  pale: "#a9c3e8",
  series: ["#2f6fd0", "#d0562f", "#2e8b57", "#8a5cc2"],
};

/** Colours on a dark background. */
export const NIGHT: Palette = {
  background: "#1c2027",
  text: "#9aa3b2",
  axis: "#6b7482",
  grid: "#2a303a",
  pale: "#44618c",
  series: ["#6ea4f7", "#f08a63", "#5cc48a", "#b391e6"],
};

/** Names of the report's style sheet. */
export const PAGE: Palette = {
  background: "transparent",
  text: "var(--muted)",
  axis: "var(--axis)",
  grid: "var(--grid)",
  pale: "var(--pale)",
  series: ["var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)"],
};
