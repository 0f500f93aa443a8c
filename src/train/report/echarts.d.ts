/** @file The types of ECharts for its single-file build, which ships without types. */

declare module "echarts/dist/echarts.esm.min.mjs" {
  export * from "echarts";
}
