export { fromConnectError, REASON_HEADER, toConnectError } from "./connect-errors.ts";
export { DormiceError, REASONS, type Reason } from "./errors.ts";
export * as engine from "./gen/engine/engine_pb.js";
export * as filesystem from "./gen/filesystem/filesystem_pb.js";
export * as process from "./gen/process/process_pb.js";
export { GUEST } from "./guest.ts";
export { type IdKind, isId, newId } from "./ids.ts";
export { ISOLATIONS, type Isolation, isIsolation, isWeaker } from "./isolation.ts";
export { canMove, publicState, type SandboxState, TRANSITIONAL, TRANSITIONS } from "./states.ts";
