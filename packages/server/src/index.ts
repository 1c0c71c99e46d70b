export { type Config, type Limits, readConfig, type Secrets } from "./config.ts";
export { Server, type ServerOptions } from "./server.ts";
