/** @file Loads the modules that draw charts with a library of a megabyte: when a run first draws, or when a server is idle. */

/** Loads them, once. */
export async function loadReports() {
  const [report, lossChart, dropBpChart] = await Promise.all([
    import("../../report/report.ts"),
    import("../../report/loss-chart.ts"),
    import("../../report/dropbp-chart.ts"),
  ]);
  return { ...report, ...lossChart, ...dropBpChart };
}
