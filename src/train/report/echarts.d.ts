/** @file The types of ECharts for its build in one file, which has none of its own. */

declare module "echarts/dist/echarts.esm.min.mjs" {
  export * from "echarts";
}
