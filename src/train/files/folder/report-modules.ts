/** @file What draws the charts of runs: a library of a megabyte, which is read when the first run has something to draw, or when a server has time. */

/** Loads it, once. */
export async function loadReports() {
  const [report, lossChart, dropBpChart] = await Promise.all([
    import("../../report/report.ts"),
    import("../../report/loss-chart.ts"),
    import("../../report/dropbp-chart.ts"),
  ]);
  return { ...report, ...lossChart, ...dropBpChart };
}
