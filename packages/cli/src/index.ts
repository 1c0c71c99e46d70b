export { readConfig } from "./config.ts";
export { buildProgram } from "./program.ts";
