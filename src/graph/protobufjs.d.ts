/** @file The types of protobufjs for its build in one file, which has none of its own. */

declare module "protobufjs/dist/light/protobuf.min.js" {
  import protobuf from "protobufjs/light.js";

  export default protobuf;
}
